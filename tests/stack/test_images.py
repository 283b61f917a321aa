"""Files as people have them, through the whole service: what is whole is classified, and everything else says what it is."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from dropsort.contract import keys
from dropsort.local.service import LocalService
from tests import needs
from tests.stack.upload_folder import UploadFolder, drawn
from tests.unit.handlers.cases import Case, cases

pytestmark = pytest.mark.stack


def test_each_file_gives_what_it_must(service: LocalService, tmp_path: Path) -> None:
    # GIVEN files of every kind, made of one image that the model knows
    sample = Image.open(io.BytesIO(drawn(tmp_path, 1)[0]))
    files = cases(sample.convert("RGB").resize((320, 320)))
    uploads = UploadFolder(service, "images")

    heif = needs.module("libraries", "pillow_heif")
    phone = io.BytesIO()
    heif.from_pillow(Image.open(io.BytesIO(files["base.jpg"].data))).save(phone, quality=90)
    files["phone.heic"] = Case(phone.getvalue(), same_as="base.jpg")

    # WHEN all are uploaded, and what was throttled was started again
    results = uploads.final(uploads.upload({name: case.data for name, case in files.items()}, clients=4))

    # THEN what is an image is classified, the same whatever its form
    unlike = {}
    for name, case in files.items():
        result = results[name]
        if case.code:
            reason = result["reason"]
            right = (
                result["outcome"] == keys.FAILED and reason["code"] == case.code and not reason["retryable"]
            )
            right = right and re.search(case.message, reason["message"]) is not None
        else:
            other = results[case.same_as or name]
            right = result["outcome"] != keys.FAILED and result["label"] == other["label"]
            right = right and abs(result["confidence"] - other["confidence"]) <= 0.1
        if not right:
            unlike[name] = {part: result[part] for part in ("outcome", "reason", "label", "confidence")}
    assert not unlike
