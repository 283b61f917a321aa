"""What Dropsort relies on, checked: ``python -m tests.conformance``, or with ``--profile NAME --yes`` in an account.

Without a profile it runs against an embedded AWS on this machine. In an account it creates two buckets, three roles, three functions,
some state machines, a rule and a queue, whose names begin with ``dropsort-conformance-``, and deletes them again; that costs less than
a cent and takes some minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import boto3
import pytest

from tests.conformance.conftest import PROFILE, REGION


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; the exit code is pytest's."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument(
        "--profile", metavar="NAME", help="AWS profile of an account  [default: an embedded AWS]"
    )
    parser.add_argument("--region", metavar="REGION", help="AWS region  [default: that of the profile]")
    parser.add_argument("--yes", action="store_true", help="create and delete resources in the account")
    options, rest = parser.parse_known_args(arguments)
    if options.profile:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
        number = session.client("sts").get_caller_identity()["Account"]
        print(f"Account {number}, region {session.region_name}")
        if not options.yes:
            parser.error(f"this creates and deletes resources in account {number}: add --yes")
        os.environ[PROFILE], os.environ[REGION] = options.profile, options.region or ""
    return int(pytest.main([str(Path(__file__).parent), "-n", "0", "-q", "-rxX", *rest]))


if __name__ == "__main__":
    sys.exit(main())
