"""The file with a service's credentials: random, private, and not taken from anybody else."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from dropsort.local import credentials
from dropsort.local.errors import CredentialsError


def test_they_are_made_at_random_and_stay(tmp_path: Path) -> None:
    # WHEN two services start, and one of them again
    first, second = (credentials.ensure(tmp_path / name) for name in ("a", "b"))
    # THEN each has its own, and a restart has the same
    assert first.access_key_id != second.access_key_id
    assert first.secret_access_key != second.secret_access_key
    assert first.functions != second.functions
    assert credentials.ensure(tmp_path / "a") == first
    # AND nobody else reads them, nothing else is left, and no message shows them
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert first.secret_access_key not in repr(first)
    assert first.functions not in repr(first)


def test_the_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a machine that loses its power has either no file or a whole one, never one that is damaged."""
    calls: list[tuple[str, int, int]] = []
    fsync, replace_ = os.fsync, os.replace

    def synced(handle: int) -> None:
        fsync(handle)
        calls.append(("fsync", os.fstat(handle).st_ino, os.fstat(handle).st_size))

    def replaced(source: str, target: Path) -> None:
        calls.append(("replace", os.stat(source).st_ino, os.stat(source).st_size))
        replace_(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    path = tmp_path / "credentials.json"
    credentials.ensure(path)
    file = (path.stat().st_ino, path.stat().st_size)
    assert calls == [("fsync", *file), ("replace", *file)]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o610])
def test_a_file_that_others_can_use_is_rejected(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "credentials.json"
    credentials.ensure(path)
    path.chmod(mode)
    with pytest.raises(CredentialsError, match=f"can be used by others \\(mode {mode:04o}\\): delete it"):
        credentials.ensure(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    credentials.ensure(path)
    os.chown(path, 65534, 65534)
    with pytest.raises(CredentialsError, match="not a file of yours"):
        credentials.ensure(path)


def test_a_link_is_rejected(tmp_path: Path) -> None:
    credentials.ensure(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(CredentialsError, match="Cannot read"):
        credentials.ensure(tmp_path / "link")


def test_something_that_is_no_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError):
        credentials.ensure(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"access_key_id": "a"}', "{}"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match=r"credentials\.json is damaged: delete it"):
        credentials.ensure(path)


@pytest.mark.parametrize("value", ["", "test", None, 5, ["a"] * 20])
def test_a_secret_that_can_be_guessed_is_not_taken(tmp_path: Path, value: object) -> None:
    path = tmp_path / "credentials.json"
    credentials.ensure(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "secret_access_key": value}))
    with pytest.raises(CredentialsError, match="damaged"):
        credentials.ensure(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="Cannot write"):
        credentials.ensure(tmp_path / "nowhere" / "credentials.json")


def test_functions_have_credentials_of_their_own() -> None:
    made, other = credentials.make(), credentials.make()
    one, two = made.of_function("arn:one"), made.of_function("arn:two")
    assert sorted(one) == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    # THEN they differ by function and by service, and stay the same
    assert one == made.of_function("arn:one")
    assert set(one.values()).isdisjoint(two.values())
    assert set(one.values()).isdisjoint(other.of_function("arn:one").values())
    # AND the service finds their secret by the key alone
    assert made.secret_of(one["AWS_ACCESS_KEY_ID"]) == one["AWS_SECRET_ACCESS_KEY"]
    assert made.secret_of(made.access_key_id) == made.secret_access_key
    # AND for everybody else the key, which each request names, does not lead to the secret
    others = replace(made, functions=other.functions)
    assert others._function_secret(one["AWS_ACCESS_KEY_ID"]) != one["AWS_SECRET_ACCESS_KEY"]
    # AND a key that is made up has none, so that no payload is read that comes with it
    key = one["AWS_ACCESS_KEY_ID"]
    for made_up in (
        "ASIA" + "A" * 16,
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key[:12],
        key[4:],
        "ASIA",
    ):
        assert made.secret_of(made_up) is None
    assert made.secret_of("test") is None
    assert made.secret_of("") is None
    assert made.secret_of("ü") is None
