# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser with the network blocked: it asks for nothing, logs nothing, fits a phone."""

import html.parser
import io
import os
import re
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnc.compile.records.trial import FAILURES
from mnc.compile.report import plots
from mnc.compile.report.page import MEANINGS, number, page, percent
from tests.compile.report import samples
from tests.compile.report.browser import CHROMIUM, Page, browser

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
SHOTS = os.environ.get("MNC_SCREENSHOTS")  # a folder to keep the screenshots in, to look at them
HEIGHT = "e => e.getBoundingClientRect().height"
BOX = "(b => [b.x, b.y + scrollY, b.width, b.height])(%s.getBoundingClientRect())"
EVERYTHING = samples.report(samples.full(), samples.full("mobilenet_v1_28", "arm"), samples.bare())


class Tags(html.parser.HTMLParser):
    """The elements of a page, and whether each closes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each element."""
        self.names.append(tag)
        self.attributes += attrs


def tags(text: str) -> Tags:
    parser = Tags()
    parser.feed(text)
    return parser


def test_what_is_not_measured_is_said() -> None:
    text = page(samples.report(samples.bare()))
    before = text[text.index("<h3>Before and after") : text.index("<h3>Layers")]
    assert before.count("not measured") == 2  # timings and roofline
    assert "not measured" in text[text.index("<h3>Parity") : text.index("<h3>Tuning")]


def test_each_part_is_there() -> None:
    text = page(EVERYTHING)
    for title in (
        "Before and after",
        "Roofline",
        "Layers",
        "Parity",
        "Tuning curves",
        "Search quality",
        "Failed trials",
        "Untuned tasks",
        "Machine",
        "How to reproduce",
    ):
        assert text.count(f"<h3>{title}</h3>") == 3
    assert "PyTorch" in text and "TVM as it comes" in text and "LAYOUT" not in text
    assert "first conv 3-&gt;32 3x3/2 224x224-&gt;112x112" in text
    curve = samples.curve()
    assert (
        f"best {number(curve.best)} GFLOP/s of 80 trials, {percent(curve.share_after(64))} of that after 64"
        in text
    )


def test_search_quality_is_drawn_and_told() -> None:
    subject = samples.full()
    text = page(samples.report(subject))
    part = text[text.index("<h3>Search quality") : text.index("<h3>Failed trials")]
    assert 'aria-label="search quality"' in part
    assert [row.trials for row in subject.quality] == [8, 16, 32, 64]
    for row in subject.quality:
        cells = (row.trials, percent(row.median), percent(row.worst), f"{row.near} of {row.tasks}")
        assert "".join(f'<td class="n">{cell}</td>' for cell in cells) in part.replace("\n", "")


def test_a_picture_can_stand_alone() -> None:
    subject = samples.full()
    inside = plots.roofline(subject.rows, subject.roof, title="a <b> & c")
    alone = plots.standalone(inside)
    assert "var(--" in inside and "currentColor" in inside
    assert "var(--" not in alone and "currentColor" not in alone
    root = xml.etree.ElementTree.fromstring(alone)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["aria-label"] == "roofline of a <b> & c"
    assert plots.roofline(subject.rows, None, title="") == ""


def test_nothing_in_the_page_leads_elsewhere() -> None:
    found = tags(page(EVERYTHING))
    assert not {"script", "iframe", "object", "embed", "img"} & set(found.names)
    leads = [value for name, value in found.attributes if name in {"src", "href", "xlink:href"}]
    assert leads and all(str(value).startswith(("#", "data:,")) for value in leads)
    assert re.findall(r"url\((?!#)", page(EVERYTHING)) == []


def test_texts_of_a_manifest_stay_texts() -> None:
    plain, hostile = (tags(page(samples.report(samples.bare(t)))) for t in ("x", samples.HOSTILE))
    assert set(hostile.names) == set(plain.names)
    assert not [value for _, value in hostile.attributes if value == "http://a.example/x"]


def test_numbers_have_three_digits() -> None:
    shown = [number(x) for x in (None, 0.0, 3.14159, 12345.6, 0.00785, 2.4e-6, float("inf"))]
    assert shown == ["-", "0", "3.14", "12,346", "0.00785", "2.40e-06", "∞"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("pages ü")
    path = folder / "a report.html"
    path.write_text(page(EVERYTHING), encoding="utf-8")
    with browser(folder / "profile") as tab:
        tab.open(path)
        yield tab


@needs_browser
def test_no_request_and_no_complaint(opened: Page) -> None:
    assert [url.split(":")[0] for url in opened.requests if not url.startswith("data:,")] == [
        "file"
    ]
    assert opened.complaints == []


@needs_browser
def test_hostile_texts_run_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(samples.report(samples.bare(samples.HOSTILE))), encoding="utf-8")
    with browser(tmp_path / "profile") as tab:
        tab.open(path)
        assert tab.evaluate("document.querySelectorAll('section').length") == 2
        assert tab.complaints == [] and len([u for u in tab.requests if "example" in u]) == 0


@needs_browser
@pytest.mark.parametrize("width", [360, 768, 1400])
def test_it_fits_every_width(opened: Page, width: int) -> None:
    opened.look(width=width)
    assert opened.evaluate("innerWidth") == width
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    tall = "[...document.querySelectorAll('svg')].map(" + HEIGHT + ").every(h => h > 60)"
    assert opened.evaluate(tall)
    # Text of pictures stays readable: at least 8 CSS pixels high on a phone.
    small = "Math.min(...[...document.querySelectorAll('svg text')].map(" + HEIGHT + "))"
    assert opened.evaluate(small) >= 8


@needs_browser
def test_dark_and_light_are_both_drawn(opened: Page, tmp_path: Path) -> None:
    """The main parts are really painted, in both modes, with enough contrast."""
    shots = Path(SHOTS) if SHOTS else tmp_path
    seen = {}
    for dark in (False, True):
        opened.look(width=1000, dark=dark)
        data = opened.screenshot(shots / f"report-{'dark' if dark else 'light'}.png")
        seen[dark] = np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.float64)
    opened.look(width=390, dark=True)
    opened.screenshot(shots / "report-phone.png")
    assert np.median(seen[False]) > 240 and np.median(seen[True]) < 40
    for part in ("figure svg", "table.layers", "table.timings", ".curves svg", "dl"):
        opened.look(width=1000)
        box = opened.evaluate(BOX % f"document.querySelector('{part}')")
        x, y, wide, high = (int(value) for value in box)
        for dark, picture in seen.items():
            crop = picture[y : y + high, x : x + wide]
            background = np.median(crop)
            drawn = np.abs(crop - background) > 60
            assert 0.003 < drawn.mean() < 0.5, (part, dark)


def test_every_failure_s_meaning_is_told() -> None:
    assert set(MEANINGS) == set(FAILURES)
