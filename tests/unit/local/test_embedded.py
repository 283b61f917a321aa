"""The embedded AWS: ports, environment, clean ends."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from dropsort.deployment import package
from dropsort.local import embedded, venv
from dropsort.local.embedded import EmbeddedAws, free_port
from dropsort.local.errors import InUseError, StartError
from dropsort.local.service import LocalService


def test_a_port_in_use_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InUseError, match=f"Port {port} cannot be used"):
            EmbeddedAws(Path("python"), tmp_path, port)
    assert free_port(port) == port


def test_a_service_names_a_port_in_use_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((venv, "ensure"), (package, "build")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("something is installed"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(InUseError, match=f"Port {port} cannot be used"),
            LocalService(tmp_path / "data", port),
        ):
            pass


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_named(port: int) -> None:
    with pytest.raises(InUseError, match=f"Port {port}"):
        free_port(port)


def test_settings_of_the_machine_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a machine with settings of its own
    for name in (
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "HTTPS_PROXY",
        "PYTHONPATH",
        "LD_PRELOAD",
        "LAMBDA_EXECUTOR",
    ):
        monkeypatch.setenv(name, "mine")
    # THEN it starts with ours only
    found = EmbeddedAws(Path(sys.executable), tmp_path)._environment(tmp_path)
    assert "mine" not in found.values()
    port, folder = found["GATEWAY_PORT"], str(tmp_path)
    assert found == {
        "BIND_HOST": "127.0.0.1",  # not for the network
        "AUTH": "true",  # the policies of roles are enforced
        "DOCKER_HOST": "unix:///nonexistent",  # containers of others are left alone
        "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0",  # no further ports
        "AWS_EC2_METADATA_DISABLED": "true", "LAMBDA_ACCOUNT_CONCURRENCY": "8", "SFN_WAIT_SCALE": "0.03", "LOG_LEVEL": "WARNING",
        "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder,
        "GATEWAY_PORT": port, "PERSIST_STATE": "0", "STATE_DIR": f"{folder}/state", "S3_PERSIST": "1", "S3_DATA_DIR": f"{folder}/s3",
    }  # fmt: skip
    assert int(port) > 0


def test_it_keeps_objects_and_state_from_run_to_run(
    embedded_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a machine with a proxy that does not respond
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # GIVEN one that keeps, with an object and a queue, and no space for uploads
    aws = EmbeddedAws(embedded_python, tmp_path, keep=True, reserve=2 * shutil.disk_usage(tmp_path).free)
    aws.start()
    aws.session().client("s3").create_bucket(Bucket="pictures")
    aws.session().client("s3").put_object(Bucket="pictures", Key="a b+c%2B", Body=b"1")
    aws.session().client("sqs").create_queue(QueueName="waiting")
    with pytest.raises(ClientError, match=r"InsufficientStorage.*free some space"):
        aws.session().client("s3").put_object(Bucket="pictures", Key="incoming/a", Body=b"1")
    # WHEN it is stopped, with the time to save what it has, and started
    assert aws._process is not None
    assert aws._process._grace == embedded.SAVE_SECONDS > embedded.STOP_SECONDS
    aws.stop()
    assert not aws.running()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "left").write_text("by a run that was killed")
    aws.start()
    assert not (tmp_path / "tmp" / "left").exists()
    # THEN they are there
    assert aws.session().client("s3").get_object(Bucket="pictures", Key="a b+c%2B")["Body"].read() == b"1"
    assert len(aws.session().client("sqs").list_queues()["QueueUrls"]) == 1
    # AND what it has imported is compiled for the next start
    assert list(embedded_python.parents[1].glob("lib/*/site-packages/ministack/__pycache__/app.*.pyc"))
    # AND its temporary files end with it
    aws.stop()
    assert not (tmp_path / "tmp").exists()


def test_it_listens_on_this_machine_only(embedded_python: Path, tmp_path: Path) -> None:
    aws = EmbeddedAws(embedded_python, tmp_path)
    aws.start()
    outside = socket.gethostbyname(socket.gethostname())
    if outside.startswith("127."):
        outside = "127.0.0.2" if sys.platform == "linux" else ""
    try:
        if outside:
            with socket.socket() as probe:
                assert probe.connect_ex((outside, aws.port)) != 0
    finally:
        aws.stop()


def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    # GIVEN an interpreter without it
    aws = EmbeddedAws(Path(sys.executable), tmp_path)
    # THEN the error has its words and the log's name
    with pytest.raises(StartError, match="No module named 'ministack'") as caught:
        aws.start()
    assert str(aws.log) in str(caught.value)
    assert os.path.exists(aws.log)


def test_one_that_is_not_ready_in_time_is_ended(
    embedded_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "START_SECONDS", 0.0)
    aws = EmbeddedAws(embedded_python, tmp_path)
    with pytest.raises(StartError, match="not ready after 0 seconds"):
        aws.start()
    assert not aws.running()
    assert not (tmp_path / "tmp").exists()


def test_it_imports_nothing_of_the_folder_in_which_it_is_started(tmp_path: Path) -> None:
    """A file named as a library would run in the process that checks signatures; also next to the program (-P)."""
    made = EmbeddedAws(Path("python"), tmp_path, secrets=tmp_path / "secrets", reserve=5)
    program, *arguments = made._command()[2:]
    assert made._command()[:2] == ["python", "-P"]
    assert Path(program).name == "emulator.py"
    assert arguments == [str(made.port), str(tmp_path / "secrets"), "5", str(made.endpoint_file)]


def test_its_state_has_a_minute_to_be_saved() -> None:
    assert (embedded.SAVE_SECONDS, embedded.HOST) == (60.0, "127.0.0.1")
