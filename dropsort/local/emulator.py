"""The process of the embedded AWS: ``python emulator.py PORT CREDENTIALS RESERVE ENDPOINT``, run by the interpreter of its own environment.

That environment has ministack and nothing of ours, because functions see what it has: so only the modules that the gate
consists of are reachable here, below this folder's package. Ten things of ministack are changed: the gate stands in front
of it, SageMaker describes the embedded endpoint, which the file ENDPOINT describes, functions get credentials that only this
service can make, errors of functions get the names that they have on AWS, wildcards of policies match any key, checksums are
checked and keys encoded as S3 does, a Distributed Map reads its concurrency from its input, processes of functions are
forked, and S3 rejects what the disk has no space for; RESERVE is the bytes that stay free.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "dropsort"
READY = "/_ministack/ready"


def main(port: int, file: Path, reserve: int, endpoint: Path) -> None:
    """Serve until SIGTERM."""
    sys.dont_write_bytecode = False  # functions shall write none, whose environment is this one's
    _reach_own_package()
    from dropsort.local import (
        credentials,
        disk,
        embedded_checksums,
        embedded_errors,
        embedded_listing,
        embedded_map,
        embedded_policies,
        embedded_sagemaker,
        embedded_workers,
    )
    from dropsort.local.gate import Gate

    found = credentials.read(file)
    # Root of the emulator; worker processes get their own instead.
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = (
        found.access_key_id,
        found.secret_access_key,
    )

    # Templates are read in a tenth of the time; CloudFormation's own loader, imported later, is a subclass.
    yaml: Any = import_module("yaml")
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    from ministack.core import lambda_runtime

    lambda_runtime.execution_credentials = _function_credentials(found)  # others import it by name
    embedded_errors.patch()
    embedded_map.patch()
    embedded_policies.patch()
    embedded_checksums.patch()
    embedded_listing.patch()
    embedded_workers.patch()
    from ministack import app
    from ministack.services import s3

    disk.report_lost_writes(s3)
    behind = disk.DiskReserve(app.app, Path(s3.DATA_DIR), reserve)
    endpoints = embedded_sagemaker.Endpoints(behind, endpoint, found.access_key_id)
    app.app = Gate(endpoints, port, _secret(found), READY, lambda nonce: found.proof(port, nonce))
    sys.argv[1:] = []
    app.main()


def _reach_own_package() -> None:
    """Make this package importable without the environment that it is installed in."""
    if PACKAGE not in sys.modules:
        package = ModuleType(PACKAGE)
        package.__path__ = [str(Path(__file__).resolve().parents[1])]
        sys.modules[PACKAGE] = package


def _function_credentials(credentials: Any) -> Any:
    """A replacement for what derives a function's session from the names of function and role alone."""

    def of(config: dict[str, Any]) -> dict[str, str]:
        from ministack.services import sts

        function, role = config["FunctionArn"], config["Role"]
        account, name = function.split(":")[4], config["FunctionName"][:64]
        made: dict[str, str] = credentials.of_function(f"{function}:{role}")
        role_name = role.rsplit("/", 1)[-1]
        sts.register_session(
            made["AWS_ACCESS_KEY_ID"],
            {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{name}",
                "UserId": f"{role_name}:{name}",
                "SecretAccessKey": made["AWS_SECRET_ACCESS_KEY"],
                "SessionToken": made["AWS_SESSION_TOKEN"],
            },
        )
        return made

    return of


def _secret(credentials: Any) -> Any:
    """Secrets of all keys that are valid: ours, the functions', and those that IAM and STS have issued."""
    from ministack.core import iam_evaluator
    from ministack.services import sts

    def of(access_key_id: str) -> str | None:
        if access_key_id == credentials.access_key_id:
            return str(credentials.secret_access_key)
        if iam_evaluator.is_root_access_key(access_key_id):  # "test", account numbers
            return None
        session = sts._sessions.get(access_key_id)
        account = session.get("AccountId") or session["Arn"].split(":")[4] if session else None
        try:
            account = account or iam_evaluator.find_iam_access_key_account(access_key_id)
        except iam_evaluator.AmbiguousAccessKeyError:
            return None
        found = iam_evaluator.resolve_credential(access_key_id, account) if account else None
        return found.secret_access_key if isinstance(found, iam_evaluator.ResolvedCredential) else None

    return of


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
