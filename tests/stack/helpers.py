"""What several tests of the whole stack need."""

from __future__ import annotations

import io
import time
from typing import Any

from PIL import Image

from dropsort.contract import keys

PATIENCE_SECONDS = 300  # a busy machine checks for uploads without a result every minute or two


def sample_image(seed: int, side: int = 32) -> bytes:
    """An image whose content depends on `seed`."""
    image = Image.effect_noise((side, side), 20 + seed % 80).convert("RGB")
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def find_result(s3: Any, bucket: str, upload: str) -> str:
    """Key of the result of `upload`, once it is there."""
    candidates = set(keys.result_keys(keys.path_of(upload)).values())
    began = time.monotonic()
    while (waited := time.monotonic() - began) < PATIENCE_SECONDS:
        for candidate in candidates:
            if s3.list_objects_v2(Bucket=bucket, Prefix=candidate, MaxKeys=1).get("KeyCount"):
                return candidate
        time.sleep(min(0.1 + waited / 10, 1.0))
    raise AssertionError(f"no result for {upload} after {PATIENCE_SECONDS} seconds")


def _proxies() -> dict[str, str]:
    names = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
    dead = {form: "http://127.0.0.1:9" for name in names for form in (name, name.upper())}
    return dead | {"NO_PROXY": "example.org"}


# Environment variables of a machine whose network has a proxy, at which nothing listens: whoever uses it for the service fails.
PROXIES = _proxies()
