"""The reference of drift detection: its file in a model folder and its key in the bucket.

Training writes it, the monitoring function and the report compare with it.
"""

from __future__ import annotations

FILE = "reference.json"
STATE_PREFIX = "monitoring"  # prefix in the bucket of everything that the monitoring function keeps
KEY = f"{STATE_PREFIX}/{FILE}"
