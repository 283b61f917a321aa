"""The review page cannot import: what its template and its script write again is what Python has."""

from __future__ import annotations

import re
from pathlib import Path

from dropsort import review
from dropsort.contract import keys, reviews
from dropsort.review.server import MOST_DECISIONS

FOLDER = Path(review.__file__).parent
TEMPLATE = (FOLDER / "templates" / "review.html").read_text(encoding="utf-8")
SCRIPT = (FOLDER / "static" / "review.js").read_text(encoding="utf-8")


def test_the_page_offers_every_order_the_default_first() -> None:
    assert tuple(re.findall(r'<option value="(\w+)">', TEMPLATE)) == review.ORDERS


def test_a_new_label_is_as_long_as_a_label_may_be() -> None:
    (longest,) = re.findall(r'id="new" maxlength="(\d+)"', TEMPLATE)
    assert int(longest) == reviews.MAX_LABEL


def test_as_many_images_are_selected_as_one_request_may_decide_about() -> None:
    (most,) = re.findall(r"\bmost: (\d+)", SCRIPT)
    assert int(most) == MOST_DECISIONS


def test_the_script_knows_outcomes_actions_and_the_prefix_of_uploads_by_their_names() -> None:
    (groups,) = re.findall(r"const GROUPS = \{(.*)\};", SCRIPT)
    names = [name.strip('"') for name in re.findall(r'("?[\w-]+"?): "', groups)]
    assert sorted(names) == sorted((*keys.OUTCOMES, "reviewed"))
    assert set(re.findall(r'(?:\bdecide\(|action: )"(\w+)"', SCRIPT)) == set(reviews.ACTIONS)
    assert set(re.findall(r'action === "(\w+)"', SCRIPT)) <= set(reviews.ACTIONS)
    (prefix,) = re.findall(r'pathOf = .*?key\.replace\("([^"]+)"', SCRIPT)
    assert prefix == keys.INCOMING
