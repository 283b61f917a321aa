"""Exit codes, and the one line that users see of an error."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError
from dropsort.contract.text import printable

_NONE_HERE = " No service runs on this machine: `dropsort up` starts one."
EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 130, 143  # click has 2 for wrong usage


def sentence(error: Exception) -> str:
    """One line: what was wrong and, if known, what to do."""
    if isinstance(error, DropsortError):
        return " ".join(str(error).split())
    aws = _of_aws(error)
    if aws:
        return aws
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: install the libraries of this command (see docs/reference/cli.md)."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}"
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return f"{printable(str(error.object))} is not UTF-8, which names in AWS are."
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text} (DROPSORT_TRACEBACK=1 shows where)"


def _running_here(otherwise: str = "") -> str:
    """A sentence about services that run on this machine; `otherwise` without any."""
    from dropsort.cli.environment import invoked_as
    from dropsort.local import running

    found = running.services()
    if not found:
        return otherwise
    if len(found) == 1:
        return (
            f" A service runs on this machine, at {found[0].endpoint_url}:"
            f' run eval "$({invoked_as()} env)" first.'
        )
    folders = ", ".join(printable(service.folder) for service in found)
    return (
        f" {len(found)} services run on this machine, in {folders}: name the folder of yours in"
        f' eval "$({invoked_as()} env --data DIR)" first.'
    )


def _of_aws(error: Exception) -> str | None:
    from botocore import exceptions as aws

    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
        return (
            "No AWS credentials: name a profile with --profile, or run the export line that `dropsort up` prints."
            + _running_here(_NONE_HERE)
        )
    if isinstance(error, aws.NoRegionError):
        return "No AWS region: name one with --region, or set AWS_DEFAULT_REGION." + _running_here(_NONE_HERE)
    if isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError):
        return (
            f"{' '.join(str(error).split())} Is the service up, and AWS_ENDPOINT_URL right?" + _running_here()
        )
    if isinstance(error, aws.ClientError):
        details = error.response.get("Error", {})
        return f"AWS rejected {error.operation_name}: {details.get('Code')}: {' '.join(str(details.get('Message')).split())}"
    if isinstance(error, aws.BotoCoreError):
        return " ".join(str(error).split())
    return None
