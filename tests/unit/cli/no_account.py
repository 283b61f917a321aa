"""The environment of somebody without an AWS account, for commands that tests run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DROPSORT_"))
} | {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "XDG_RUNTIME_DIR": tempfile.mkdtemp(),  # no service that runs on this machine
    "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
}
