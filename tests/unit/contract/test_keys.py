"""Key layout: one place a result, whatever the key is."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropsort.contract import keys
from dropsort.contract.keys import path_of, result_keys

ODD = [
    "a.jpg", "cam1/a b.jpg", "a+b.jpg", "100%25.jpg", "%2B", "ключ/写真.png", "🚲.png", ".hidden", "../../etc/passwd", "a/../b.jpg",
    "./a.jpg", "//a.jpg", " ", "cam1/", "a.jpg.json", "classified/a.jpg", "incoming/a.jpg", "\n\t", "back\\slash", "null",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD)
def test_a_path_is_not_changed(path: str) -> None:
    assert path_of(f"incoming/{path}") == path
    assert result_keys(path) == {outcome: f"{outcome}/{path}.json" for outcome in keys.OUTCOMES}


def test_the_prefix_itself_is_a_folder_marker_like_any() -> None:
    assert path_of("incoming/") == ""
    assert result_keys("")["failed"] == "failed/.json"


@pytest.mark.parametrize(
    "key", ["", "a.jpg", "Incoming/a.jpg", "/incoming/a.jpg", "incoming", "classified/a.jpg.json"]
)
def test_a_key_elsewhere_is_rejected_with_the_place_to_use(key: str) -> None:
    with pytest.raises(ValueError, match="upload it there"):
        path_of(key)


def test_the_layout_is_that_of_the_documentation() -> None:
    assert (keys.INCOMING, *keys.OUTCOMES) == ("incoming/", "classified", "low-confidence", "failed")
    assert keys.RESULT_SCHEMA == "dropsort/result/1"


def test_an_inference_id_is_the_digest_of_all_three_and_stays_the_same() -> None:
    """Captures, results, reviews and ground truth of former versions are joined by it."""
    found = keys.inference_id("images", "incoming/a.jpg", "v1")
    assert found == hashlib.sha256(b"images\0incoming/a.jpg\0v1").hexdigest()
    assert keys.digest("a.jpg") == hashlib.sha256(b"a.jpg").hexdigest()[:32]


def test_only_a_path_whose_result_would_be_too_long_is_cut() -> None:
    # 1,024 bytes less low-confidence/ and .json
    longest = 1024 - len("low-confidence/") - len(".json")
    assert keys.is_whole("x" * longest)
    assert not keys.is_whole("x" * (longest + 1))
    assert len(result_keys("x" * (longest + 1))["low-confidence"]) == 1024
    # A path that ends as a cut one does is cut too, if a cut one may be as long: one that was cut within a letter of up to
    # four bytes is up to three bytes shorter.
    end = "~" + "0" * 32
    for length, whole in ((longest, False), (longest - 3, False), (longest - 4, True)):
        assert keys.is_whole("x" * (length - len(end)) + end) is whole


@pytest.mark.parametrize("length", [1, 1000, 1004, 1005, 1010, 1015])
@pytest.mark.parametrize("letter", ["a", "é", "写", "🚲"])
def test_keys_of_up_to_1024_bytes_have_results_of_at_most_1024_bytes(letter: str, length: int) -> None:
    path = letter * (length // len(letter.encode()))
    for key in result_keys(path).values():
        assert len(key.encode()) <= 1024
        assert key.endswith(".json")
    assert result_keys(path) == result_keys(path)


def test_long_paths_that_differ_at_the_end_alone_have_results_of_their_own() -> None:
    paths = ["x" * 1014 + end for end in "0123456789"]
    assert len({result_keys(path)["failed"] for path in paths}) == 10


def test_a_path_that_is_the_cut_form_of_another_has_a_result_of_its_own() -> None:
    long = "x" * 1015
    cut = result_keys(long)["failed"].removeprefix("failed/").removesuffix(".json")
    assert result_keys(cut)["failed"] != result_keys(long)["failed"]


# A few characters of one to four bytes more, and a path is just short enough or just too long for its whole key.
@given(st.text(max_size=15), st.text(max_size=15), st.sampled_from([0, 965, 990, 1000, 1000, 1002]))
def test_no_two_paths_share_a_result(one: str, other: str, length: int) -> None:
    paths = {"p" * length + text for text in (one, other)} - {""}
    try:
        paths = {path for path in paths if len(path.encode()) <= 1015}
    except UnicodeEncodeError:  # half a surrogate pair is not a key
        return
    places = [key for path in paths for key in result_keys(path).values()]
    assert len(set(places)) == 3 * len(paths)
