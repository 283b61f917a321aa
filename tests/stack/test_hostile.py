"""Files that hurt, through the deployed workflow: each one result, no failed execution, none hangs, no large state.

``DROPSORT_HOSTILE`` is how many mutations of valid files go through (45; 2,000 in the nightly run).
"""

from __future__ import annotations

import os

import pytest
from PIL import Image

from benchmarks import hostile
from dropsort.contract import keys
from dropsort.local.service import LocalService
from tests.stack.upload_folder import UploadFolder
from tests.unit.handlers.sample_images import encoded, noise

pytestmark = pytest.mark.stack

CODES = {
    "empty.png": "empty_object",
    "text.jpg": "not_an_image",
    "page.html.png": "not_an_image",
    "program.jpg": "not_an_image",
    "archive.png": "not_an_image",
    "vector.svg": "unsupported_format",
    "random.png": "not_an_image",
    "random-large.jpg": "not_an_image",
    "pixel-bomb.png": "too_many_pixels",
    "widest.png": "too_many_pixels",
    "zeros.png": "blank_image",
}
READABLE = (
    "jpeg-named.png",
    "png-named.txt",
    "no-extension",
    "concatenated.jpg",
    "trailing.png",
)
STATE_BYTES = 200_000


def test_each_hostile_file_has_one_result(service: LocalService) -> None:
    # GIVEN files that are hostile by construction, and mutations of valid ones
    uploads = UploadFolder(service, "hostile")
    files = hostile.fixed() | dict(hostile.mutations(int(os.environ.get("DROPSORT_HOSTILE", "45"))))
    failed = set(uploads.executions("FAILED"))
    # WHEN all of them are dropped
    results = uploads.final(uploads.upload(files))
    # THEN no execution has failed
    assert set(uploads.executions("FAILED")) - failed == set()
    # AND what cannot be read says so with a code, and is nothing to try again
    for name, code in CODES.items():
        assert (results[name]["outcome"], results[name]["reason"]["code"]) == (keys.FAILED, code)
    for name, result in results.items():
        if result["outcome"] == keys.FAILED:
            assert not result["reason"]["retryable"], (name, result["reason"])
    # AND what can be read has a prediction, whatever its name
    for name in READABLE:
        assert results[name]["outcome"] != keys.FAILED, (name, results[name]["reason"])


def test_no_image_makes_a_large_state(service: LocalService, capsys: pytest.CaptureFixture[str]) -> None:
    # GIVEN images that no encoder makes small, of every size, and a key of 1,024 bytes
    uploads = UploadFolder(service, "state")
    sizes = (32, 170, 180, 256, 257, 700, 2000)
    files = {f"{side}.png": encoded(noise(side, side), "PNG") for side in sizes}
    files |= {f"{side}.jpg": encoded(noise(side, side), "JPEG", quality=100) for side in sizes}
    files |= {
        f"{side}-alpha.webp": encoded(noise(side, side, "RGBA"), "WEBP", lossless=True) for side in (256, 700)
    }
    files["flat.png"] = encoded(Image.new("RGB", (9000, 9000)), "PNG")
    files["x" * (1024 - len(uploads.key("")))] = files["256.png"]
    # WHEN they go through the workflow
    results = uploads.settled(uploads.upload(files))
    # THEN what was sent between its states is far below the limit of 262,144 bytes
    largest = {name: max(uploads.states_of(result["execution"])) for name, result in results.items()}
    name = max(largest, key=largest.__getitem__)
    with capsys.disabled():
        print(f"\nlargest state: {largest[name]} bytes ({name[:40]})")
    assert largest[name] < STATE_BYTES


def test_an_object_with_a_key_of_the_uploader_is_final(service: LocalService) -> None:
    # GIVEN an image that S3 gives to nobody without the key of its uploader (SSE-C)
    uploads = UploadFolder(service, "encrypted")
    put = (
        service.session()
        .client("s3")
        .put_object(
            Bucket=service.bucket,
            Key=uploads.key("a.png"),
            Body=encoded(noise(32, 32), "PNG"),
            SSECustomerAlgorithm="AES256",
            SSECustomerKey=b"k" * 32,
        )
    )
    # WHEN the workflow has processed it
    result = uploads.settled({"a.png": put["ETag"].strip('"')})["a.png"]
    # THEN it is a final result, as no retry reads it
    assert (result["outcome"], result["reason"]["code"]) == (keys.FAILED, "unreadable_encryption")
    assert not result["reason"]["retryable"]
