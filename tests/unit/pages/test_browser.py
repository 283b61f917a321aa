"""All pages in a real browser: nothing is cut off, text has contrast in light and dark, a click enlarges, scripts run without an error."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.unit.local.untrusted_clients import FLAGS, browser, pages_served
from tests.unit.pages import cases

MEASURE = Path(__file__).with_name("measure.html")


def visit(pages: dict[str, str]) -> tuple[dict[str, list[str]], list[str]]:
    """What is wrong with each page at each width (light where it is wide, dark where it is narrow), and errors of the console."""
    served = {f"/{name}-light": page.encode("utf-8", "replace") for name, page in pages.items()}
    served |= {f"/{name}-dark": cases.dark(page).encode("utf-8", "replace") for name, page in pages.items()}
    visits = [
        [f"/{name}-{shade}", width] for name in pages for shade, width in (("light", 1280), ("dark", 390))
    ]
    served["/"] = MEASURE.read_bytes().replace(b"VISITS", json.dumps(visits).encode())
    with (
        pages_served(served) as (server, port),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        log = Path(profile) / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [browser(), *FLAGS, "--enable-logging=stderr", f"--user-data-dir={profile}/profile", "--window-size=1300,1000",
                 "--remote-debugging-port=0", f"http://127.0.0.1:{port}/"],
                stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        try:
            assert server.done.wait(180), "the pages were not measured"
        finally:
            process.terminate()
            process.wait(30)
        console = [line for line in log.read_text(errors="replace").splitlines() if ":CONSOLE" in line]
    return server.found, console


@pytest.mark.slow(reason="opens every page at two widths in a browser")
def test_every_page_fits_is_legible_and_runs_without_an_error(tmp_path: Path) -> None:
    # GIVEN every page with nothing, little, much, and hostile text, and one with faults of every kind
    pages = {name: make() for name, make in cases.pages(tmp_path).items()}
    pages["fault"] = (
        f"<body style='background:#fff'><h1>{'long ' * 200}</h1><p style='width:2000px;color:#ddd'>pale</p>"
        "<section><svg role=img><text>x</text></svg></section><script>nowhere()</script>"
        "<div class=gallery><details><summary><img src='data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='></summary></details></div>"
    )
    for name in ("report-229", "evaluation-200", "comparison-200"):  # which have images to enlarge
        assert '<details><summary title="enlarge"><img' in pages[name]

    # WHEN a browser opens them, light and dark, wide and narrow
    found, console = visit(pages)

    # THEN nothing is wrong but with the last one, where everything is found
    faults = {name: found.pop(name) for name in list(found) if name.startswith("/fault")}
    assert all(
        [
            any(word in wrong for wrong in each)
            for word in ("wider", "cut off", "contrast 1.3", "no hover", "enlarges", "title fills")
        ]
        == [True] * 6
        for each in faults.values()
    ), faults
    assert len(found) == 2 * (len(pages) - 1)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert [line for line in console if "nowhere is not defined" not in line] == []
    assert len(console) == 2
