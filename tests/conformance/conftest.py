"""The account: an embedded AWS of the suite's own, or the one that ``python -m tests.conformance`` names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from dropsort.local.embedded import EmbeddedAws
from tests.conformance.account import Account

PROFILE, REGION = "DROPSORT_CONFORMANCE_PROFILE", "DROPSORT_CONFORMANCE_REGION"


@pytest.fixture(scope="module")
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Everything that is created in it is deleted at the end."""
    profile = os.environ.get(PROFILE)
    if profile:
        session = boto3.Session(profile_name=profile, region_name=os.environ.get(REGION) or None)
        yield from _closed(Account(session.client, embedded=False))
        return
    python: Path = request.getfixturevalue("embedded_python")
    aws = EmbeddedAws(python, tmp_path_factory.mktemp("conformance"))
    aws.start()
    try:
        yield from _closed(Account(aws.session().client, embedded=True))
    finally:
        aws.stop()


def _closed(account: Account) -> Iterator[Account]:
    yield account
    account.close()
    assert not account.left, f"not deleted: {account.left}"
