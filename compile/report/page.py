# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page that needs nothing else: no script, no request to anywhere.

Takes a `Report`; gives the page's text. Whatever a manifest or log says is escaped.
"""

import math
from pathlib import Path

import jinja2
from markupsafe import Markup

from mnc.compile.report import plots
from mnc.compile.report.data import Report, Subject

TEMPLATE = Path(__file__).with_name("page.html.j2")
AFTER = 64  # trials, the default budget of a task
# What a failure of each kind means, for a reader who has not seen the log.
MEANINGS = {
    "compile": "did not compile",
    "timeout": "took too long",
    "crash": "crashed",
    "wrong": "computed something else than the reference",
    "run": "failed while running",
    "device": "the device failed, not the config",
}


def page(report: Report) -> str:
    """The whole page."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        number=number, percent=percent, milliseconds=milliseconds, microseconds=microseconds
    )
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    return template.render(
        report=report,
        pictures=[_pictures(one) for one in report.subjects],
        after=AFTER,
        meanings=MEANINGS,
    )


def _pictures(subject: Subject) -> dict[str, Markup | list[Markup]]:
    peak = subject.roof.gflops if subject.roof is not None else None
    return {  # our own drawings, their texts escaped by matplotlib
        "roofline": Markup(plots.roofline(subject.rows, subject.roof, title=subject.title)),
        "curves": [Markup(plots.curve(one, peak)) for one in subject.curves],
        "quality": Markup(plots.search_quality(subject.curves)),
        "failures": Markup(plots.failures(subject.failures)),
    }


def number(value: float | None, digits: int = 3) -> str:
    """A number to `digits` significant digits; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "-" if value is None else "∞"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
        return f"{value:,.{decimals}f}"
    return f"{value:.{digits - 1}e}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as whole percents."""
    return "-" if share is None else f"{100 * share:.0f} %"


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds."""
    return "-" if seconds is None else number(seconds * 1e3)


def microseconds(seconds: float | None) -> str:
    """Seconds as microseconds."""
    return "-" if seconds is None else number(seconds * 1e6)
