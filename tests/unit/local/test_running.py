"""Services that run on this machine are found by other terminals of the same user, and by nobody else's word."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError
from click.testing import CliRunner, Result

from dropsort.cli.environment import env
from dropsort.cli.errors import sentence
from dropsort.local import credentials, running
from dropsort.local.errors import LocalError
from dropsort.local.folder import ServiceFolder
from dropsort.local.running import RunningService, announced, services


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "dropsort"


def started(path: Path) -> tuple[ServiceFolder, RunningService]:
    """A folder in use, as that of a running service."""
    folder = ServiceFolder(path)
    folder.acquire()
    credentials.ensure(folder.credentials)
    return folder, RunningService(str(folder.path), "http://127.0.0.1:4566", "http://127.0.0.1:4567")


def printed() -> Result:
    return CliRunner().invoke(env, [])


def test_a_service_is_found_while_it_runs(home: Path, tmp_path: Path) -> None:
    folder, service = started(tmp_path / "data")
    with announced(service):
        assert services() == [service]
        line = printed().stdout
        secret = credentials.read(folder.credentials).secret_access_key
        assert line.startswith("export AWS_ENDPOINT_URL=http://127.0.0.1:4566 ")
        assert f"AWS_SECRET_ACCESS_KEY={secret}" in line
        assert not any(secret in path.read_text() for path in home.iterdir())
    folder.release()
    assert services() == []
    assert "No service runs on this machine" in printed().stderr


def test_the_file_of_a_service_that_was_killed_is_removed(home: Path, tmp_path: Path) -> None:
    folder, service = started(tmp_path / "data")
    folder.release()
    home.mkdir(mode=0o700)
    (home / "1.json").write_text(json.dumps({**vars(service)}))
    (home / "2.json").write_text("damaged")
    (home / "3.json").write_text('{"folder": "of another version"}')
    assert services() == []
    assert not (home / "1.json").exists()


def test_of_several_one_is_chosen_by_its_folder(home: Path, tmp_path: Path) -> None:
    folders = [started(tmp_path / name) for name in ("one", "two")]
    home.mkdir(mode=0o700)
    for number, (_, service) in enumerate(folders):
        (home / f"{number}.json").write_text(json.dumps(vars(service)))
    assert "2 services run on this machine: choose one with --data" in printed().stderr
    # AND an error without credentials names both, as none is known to be the one that is meant
    assert f"2 services run on this machine, in {tmp_path / 'one'}, {tmp_path / 'two'}: name" in sentence(
        NoCredentialsError()
    )
    chosen = CliRunner().invoke(env, ["--data", str(tmp_path / "two")])
    assert chosen.exit_code == 0
    assert credentials.read(folders[1][0].credentials).access_key_id in chosen.stdout
    assert chosen.stdout.count("\n") == 1
    assert f"the service in {tmp_path / 'two'}." in chosen.stderr
    for folder, _ in folders:
        folder.release()


def test_a_folder_that_others_can_write_is_not_believed(home: Path, tmp_path: Path) -> None:
    folder, service = started(tmp_path / "data")
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    with announced(service):
        assert list(home.iterdir()) == []
    (home / "1.json").write_text(json.dumps(vars(service)))
    assert running.services() == []
    folder.release()


def test_a_link_to_a_folder_is_not_believed(home: Path, tmp_path: Path) -> None:
    folder, service = started(tmp_path / "data")
    (tmp_path / "planted").mkdir(mode=0o700)
    home.symlink_to(tmp_path / "planted")
    (home / "1.json").write_text(json.dumps(vars(service)))
    assert services() == []
    folder.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_believed(home: Path, tmp_path: Path) -> None:
    folder, service = started(tmp_path / "data")
    home.mkdir(mode=0o700)
    (home / "1.json").write_text(json.dumps(vars(service)))
    os.chown(home, 65534, 65534)
    assert services() == []
    folder.release()


def test_without_a_folder_of_the_session_the_temporary_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for given in (str(tmp_path / "nowhere"), "relative", ""):
        monkeypatch.setenv("XDG_RUNTIME_DIR", given)
        assert running.home() == tmp_path / f"dropsort-running-{os.geteuid()}"


def test_an_error_without_credentials_names_the_service_that_runs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, service = started(tmp_path / "data")
    with announced(service):
        for error in (NoCredentialsError(), NoRegionError()):
            assert 'at http://127.0.0.1:4566: run eval "$(dropsort env)" first.' in sentence(error)
        # AND as it can be typed where the command is not on the PATH
        monkeypatch.setattr(sys, "argv", [".venv/bin/dropsort", "results"])
        assert 'run eval "$(.venv/bin/dropsort env)" first.' in sentence(NoRegionError())
    folder.release()


def test_the_file_of_a_service_is_gone_once_it_has_ended(home: Path, tmp_path: Path) -> None:
    folder, service = started(tmp_path / "data")
    for _ in range(2):  # the folder of the files stays
        with announced(service):
            assert services() == [service]
        assert list(home.iterdir()) == []
    folder.release()


def test_a_service_runs_where_it_cannot_be_announced(home: Path, tmp_path: Path) -> None:
    folder, service = started(tmp_path / "data")
    home.touch()
    with announced(service):
        assert services() == []
    assert home.is_file()
    folder.release()


def test_a_service_whose_folder_is_gone_is_not_found(home: Path, tmp_path: Path) -> None:
    service = RunningService(str(tmp_path / "gone"), "http://127.0.0.1:4566", "http://127.0.0.1:4567")
    with announced(service):
        assert services() == []
        assert list(home.iterdir()) == []
    with pytest.raises(LocalError, match="gone has no credentials: has the service ended"):
        _ = service.environment
