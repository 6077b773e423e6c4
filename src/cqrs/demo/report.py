"""The report: one HTML file that needs nothing but itself."""

from __future__ import annotations

import json
import platform
import tempfile
from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path

from cqrs._svg import LEFT, RIGHT, WIDTH
from cqrs._version import __version__
from cqrs.demo.charts import answers_chart, calls_chart, latency_chart, states_chart
from cqrs.demo.figures import Figures, milliseconds, percent, slots
from cqrs.demo.recorder import Recorder, Service
from cqrs.demo.tables import circuits_table, phases_table, slots_table, verdict_table
from cqrs.demo.verdict import Result

DEFAULT_PATH = Path("holdfast-report.html")
SLOTS = 60
ROWS = (
    "by primary",
    "fallback after a failed call",
    "fallback without a call",
    "failed",
    "p50",
    "p99",
    "calls",
)

HOW = {
    "Both shops": "ran at the same time, in one process, with the same seeded load against the same upstream "
    "process. They differ in one argument: circuit_breaker.",
    "Primary": "the upstream was called and the primary handler answered.",
    "Fallback": "the upstream was called, failed or took too long, and the fallback answered.",
    "Rejected": "the circuit was open, so the upstream was not called, and the fallback answered at once.",
    "Failed": "no answer.",
    "Calls": "requests that the HTTP client started towards the upstream, refused connections included.",
    "Opened after": "from the beginning of the slow phase to the circuit's first open state.",
    "Primary again after": "from the moment at which the restarted upstream listens to the primary's first "
    "answer. The control has no wait: it never stopped calling.",
    "Limits": "follow from the circuits' policy, plus a grace for the machine: 1 s and three times the "
    "longest delay of the event loop that was measured.",
}


def write_report(result: Result, path: Path | None) -> Path:
    """Write the report and return where it is.

    Without a path it goes to ``holdfast-report.html`` here, or to the temporary folder when that cannot be
    written.

    Raises:
        OSError: the given path cannot be written.
    """
    return write_page(render(result), path, DEFAULT_PATH)


def write_page(page: str, path: Path | None, default: Path) -> Path:
    """Write a page to ``path``; without one to ``default`` here or, if need be, in the temporary folder.

    Raises:
        OSError: the given path cannot be written.
    """
    if path is not None:
        path.write_text(page, encoding="utf-8")
        return path
    try:
        default.write_text(page, encoding="utf-8")
        return default
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="holdfast-")) / default
        path.write_text(page, encoding="utf-8")
        return path


def render(result: Result) -> str:
    """Return the report as HTML."""
    recorder, summary = result.recorder, result.summary
    figures = {service: _figures(recorder, service, summary.seconds) for service in Service}
    calls = {service: _calls(recorder, service, summary.seconds) for service in Service}
    guarded, control = figures[Service.WITH], figures[Service.WITHOUT]
    most = max(slot.total for slot in (*guarded, *control))
    rows = _rows(figures, calls, summary.seconds)
    broken = sum(not guarantee.kept for guarantee in result.guarantees)
    total = len(result.guarantees)
    badge = f"✗ {broken} of {total} guarantees broken" if broken else f"✓ All {total} guarantees kept"
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>Holdfast demo report</title><style>{asset('report.css')}</style></head><body><main>",
            "<h1>A shop that keeps answering</h1>",
            '<p class="soft">Its upstream was healthy, became slow, failed, was killed and came back. Two '
            "equal shops lived through it side by side: one with circuit breakers, one without.</p>",
            f'<p class="badge {"broken" if broken else "kept"}">{badge}</p>',
            _tiles(result),
            f"<section><h2>Verdict</h2>{verdict_table(result.guarantees)}</section>",
            "<section><h2>What happened</h2>",
            "<h3>The upstream, and the circuits in front of it</h3>",
            legend(
                ("healthy", "healthy, closed"),
                ("slow", "slow, probing"),
                ("failing", "failing"),
                ("dead", "dead, open"),
                ("ramping", "ramping: traffic returns by degrees"),
            ),
            states_chart(summary),
            "<h3>Answers per second, with circuit breakers</h3>",
            legend(
                ("primary", "by primary"),
                ("rejected", "by fallback, upstream spared"),
                ("fallback", "by fallback, after a failed call"),
                ("failed", "failed"),
            ),
            answers_chart(summary, guarded, most, "with circuit breakers"),
            "<h3>Answers per second, without</h3>",
            answers_chart(summary, control, most, "without circuit breakers"),
            "<h3>Answer times (logarithmic)</h3>",
            _lines_legend(True),
            latency_chart(summary, guarded, control),
            "<h3>Calls per second that reached for the upstream</h3>",
            _lines_legend(False),
            calls_chart(summary, calls[Service.WITH], calls[Service.WITHOUT]),
            "<details><summary>The numbers behind the charts</summary>",
            slots_table(_flat(rows)),
            "</details></section>",
            f"<section><h2>Phase by phase</h2>{phases_table(summary)}</section>",
            f"<section><h2>Circuit by circuit</h2>{circuits_table(summary)}</section>",
            "<section><h2>How it was measured</h2><dl>",
            "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in HOW.items()),
            "</dl></section>",
            f'<p class="soft">Holdfast {__version__}, Python {platform.python_version()}, '
            f"seed {summary.seed}, {summary.seconds:.1f} s, event loop lag {milliseconds(summary.lag)}, "
            f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}.</p>",
            '</main><div id="tip" role="status"></div><script type="application/json" id="data">',
            f"{_data(rows)}</script><script>{asset('report.js')}</script></body></html>\n",
        ]
    )


def _tiles(result: Result) -> str:
    summary = result.summary
    guarded, control = (summary.services[service] for service in Service)
    recovered = [
        circuit.recovered_after for circuit in summary.circuits if circuit.recovered_after is not None
    ]
    tiles = (
        (percent(guarded.figures.answered_percent), f"of {guarded.submitted} requests answered"),
        (
            percent(summary.spared_percent),
            "of calls spared to the upstream in trouble "
            f"({guarded.calls_in_trouble}, not {control.calls_in_trouble})",
        ),
        (
            milliseconds(guarded.rejected_median),
            f"median answer at an open circuit (without, upstream slow: {milliseconds(control.slow_median)})",
        ),
        (
            f"{max(recovered):.1f} s" if recovered else "never",
            "until every primary answered again after the restart",
        ),
    )
    cards = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in tiles
    )
    return f'<div class="tiles">{cards}</div>'


def legend(*entries: tuple[str, str]) -> str:
    """Explain colours: the name of each in the style sheet, and what it stands for."""
    items = "".join(
        f'<li><i style="background: var(--{name})"></i>{escape(text)}</li>' for name, text in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _lines_legend(dashed: bool) -> str:
    entries = [("with", "", "with"), ("without", "", "without")]
    if dashed:
        entries = [
            (name, dash, f"{text}, {name}")
            for name in ("with", "without")
            for dash, text in (("", "median"), (" dash", "p99"))
        ]
    items = "".join(
        f'<li><i class="stroke{dash}" style="border-color: var(--{name})"></i>{text}</li>'
        for name, dash, text in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _figures(recorder: Recorder, service: Service, seconds: float) -> list[Figures]:
    done = [d for d in recorder.done if d.service is service]
    return [Figures.of(slot) for slot in slots(done, seconds, SLOTS)]


def _calls(recorder: Recorder, service: Service, seconds: float) -> list[int]:
    counts = [0] * SLOTS
    for call in recorder.called:
        if call.service is service:
            counts[min(int(call.at / seconds * SLOTS), SLOTS - 1)] += 1
    return counts


Rows = list[tuple[str, dict[Service, tuple[str, ...]]]]


def _rows(figures: dict[Service, list[Figures]], calls: dict[Service, list[int]], seconds: float) -> Rows:
    """Write the numbers of each slot and service in the order of ``ROWS``."""
    return [
        (
            f"{index * seconds / SLOTS:.1f} s",
            {service: _cells(figures[service][index], calls[service][index]) for service in Service},
        )
        for index in range(SLOTS)
    ]


def _cells(figures: Figures, calls: int) -> tuple[str, ...]:
    counts = (figures.primary, figures.fallback, figures.rejected, figures.failed)
    return (*map(str, counts), milliseconds(figures.p50), milliseconds(figures.p99), str(calls))


def _flat(rows: Rows) -> list[tuple[str, ...]]:
    return [(at, service, *cells) for at, services in rows for service, cells in services.items()]


def _data(rows: Rows) -> str:
    document = {
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "rows": ROWS,
        "slots": [
            {"at": at, "rows": list(zip(services[Service.WITH], services[Service.WITHOUT], strict=True))}
            for at, services in rows
        ],
    }
    # A closing tag inside a string would end the script element.
    return json.dumps(document, ensure_ascii=False).replace("<", "\\u003c")


def asset(name: str) -> str:
    """Return a file of the report."""
    return resources.files("cqrs.demo").joinpath(name).read_text(encoding="utf-8")
