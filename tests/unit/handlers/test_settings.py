"""Settings: defaults, forms, and errors that name the variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handlers import settings

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def ignored_patterns() -> str:
    """The list in the documentation, which is too long for a table."""
    block = re.search(r"### Ignored patterns\n.*?```text\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert block
    return block[1].replace("\n", "")


def test_defaults() -> None:
    loaded = settings.load({})
    assert (loaded.threshold, loaded.image_side, loaded.labels) == (0.93, 256, ())
    assert (loaded.max_bytes, loaded.max_pixels) == (100_000_000, 100_000_000)
    assert settings.load({name.name: "" for name in settings.SETTINGS}) == loaded


def test_values() -> None:
    loaded = settings.load(
        {"LABELS": " bicycle, motorcycle ,", "LABEL_THRESHOLDS": "a=b=0.5, motorcycle = 0.95", "THRESHOLD": "1",
        "MAX_MEGAPIXELS": "0.5e2"}
    )  # fmt: skip
    assert loaded.labels == ("bicycle", "motorcycle")
    assert loaded.label_thresholds == {"a=b": 0.5, "motorcycle": 0.95}
    assert (loaded.threshold, loaded.max_pixels) == (1.0, 50_000_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THRESHOLD", "1.1"), ("THRESHOLD", "-0.1"), ("THRESHOLD", "nan"), ("THRESHOLD", "high"), ("THRESHOLD", "0,9"),
        ("FAMILIARITY_THRESHOLD", "2"),
        ("IMAGE_SIDE", "0"), ("IMAGE_SIDE", "31"), ("IMAGE_SIDE", "1025"), ("IMAGE_SIDE", "inf"),
        ("MAX_OBJECT_MEGABYTES", "0"), ("MAX_MEGAPIXELS", "1e9"),
        ("LABEL_THRESHOLDS", "bicycle"), ("LABEL_THRESHOLDS", "0.9"), ("LABEL_THRESHOLDS", "bicycle=2"), ("LABEL_THRESHOLDS", "=0.9"),
        ("LABEL_THRESHOLDS", "bicycle:0.9"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}={re.escape(repr(value))}"):
        settings.load({name: value})


def test_every_setting_has_a_help_and_a_default_that_loads() -> None:
    assert len({setting.name for setting in settings.SETTINGS}) == len(settings.SETTINGS)
    for setting in settings.SETTINGS:
        assert setting.help.endswith(".")
        settings.load({setting.name: setting.default})


@pytest.mark.parametrize("setting", settings.SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting: settings.Setting) -> None:
    row = re.search(rf"^\| `{setting.name}` \|(.*)$", DOCS.read_text(), re.MULTILINE)
    assert row, f"docs/reference/settings.md does not say what {setting.name} is"
    assert setting.help in row[1]
    documented = [
        f"`{setting.default}`",
        "[above](#ignored-patterns)" if setting.default == ignored_patterns() else "",
    ]
    assert not setting.default or any(text and text in row[1] for text in documented)


def test_nothing_is_documented_that_does_not_exist() -> None:
    section = DOCS.read_text().split("## Environment of the functions")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)) == {
        s.name for s in settings.SETTINGS
    }


@pytest.mark.parametrize(
    ("name", "low", "high", "step"),
    [
        ("INVOCATION_TIMEOUT_SECONDS", 1, 60, 0.1), ("THRESHOLD", 0, 1, 0.01), ("FAMILIARITY_THRESHOLD", 0, 1, 0.01),
        ("IMAGE_SIDE", 32, 1024, 1), ("MAX_OBJECT_MEGABYTES", 1, 200, 0.1), ("MAX_MEGAPIXELS", 1, 100, 0.1),
        ("DECODING_MEGABYTES", 100, 1300, 1),
    ],
)  # fmt: skip
def test_the_bounds_of_each_number(name: str, low: float, high: float, step: float) -> None:
    for value in (low, high):
        settings.load({name: str(value)})
    for value in (low - step, high + step):
        with pytest.raises(ValueError, match=f"^{name}=.* is not a number from {low:g} to {high:g}"):
            settings.load({name: str(value)})


def test_what_each_variable_becomes() -> None:
    assert settings.load({}) == settings.WorkflowSettings(
        stack="dropsort", endpoint="", accept="application/json;verbose=true", invocation_timeout=10.0, labels=(), threshold=0.93,
        label_thresholds={}, familiarity_threshold=0.01, image_side=256, max_bytes=100_000_000, max_pixels=100_000_000,
        decoding_bytes=1_300_000_000, ignored_patterns=ignored_patterns(), model_version="", event_bus="",
    )  # fmt: skip
    given = {
        "STACK_NAME": "s", "ENDPOINT_NAME": "e", "ENDPOINT_ACCEPT": "text/csv", "INVOCATION_TIMEOUT_SECONDS": "2.5", "LABELS": "a,b",
        "THRESHOLD": "0.5", "LABEL_THRESHOLDS": "a=0", "FAMILIARITY_THRESHOLD": "0", "IMAGE_SIDE": "64", "MAX_OBJECT_MEGABYTES": "1.5",
        "MAX_MEGAPIXELS": "2", "DECODING_MEGABYTES": "200", "IGNORED_PATTERNS": ",", "MODEL_VERSION": "v", "EVENT_BUS_NAME": "bus",
    }  # fmt: skip
    assert settings.load(given) == settings.WorkflowSettings(
        "s", "e", "text/csv", 2.5, ("a", "b"), 0.5, {"a": 0.0}, 0.0, 64, 1_500_000, 2_000_000, 200_000_000, ",", "v", "bus"
    )  # fmt: skip
