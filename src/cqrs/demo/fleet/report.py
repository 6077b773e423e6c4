"""The fleet's report: one HTML file that needs nothing but itself."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from cqrs._svg import LEFT, RIGHT, WIDTH, Plot, element
from cqrs._version import __version__
from cqrs.demo.figures import milliseconds
from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.output import counted
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.fleet.timeline import Band, slot_bands, store_bands, upstream_bands
from cqrs.demo.fleet.verdict import FleetResult
from cqrs.demo.recorder import Answer
from cqrs.demo.report import asset, legend, write_page
from cqrs.demo.tables import verdict_table

DEFAULT_PATH = Path("holdfast-fleet-report.html")
ROW = 26.0
SLOTS = 60
#: Class in the style sheet and word of each band.
CLASSES = {
    "healthy": ("phase healthy", "healthy"),
    "failing": ("phase failing", "failing"),
    "slow": ("phase slow", "hanging"),
    "alive": ("circuit closed", "alive"),
    "dead": ("phase dead", "dead"),
    "killed": ("circuit killed", "killed"),
}
STYLE = """
.circuit.killed { fill: var(--without); }
.probe { fill: var(--on-state); stroke: var(--slow); stroke-width: 2; }
.told { white-space: normal; text-align: left; }
.told.act { font-weight: 600; } .told.good { color: var(--good); } .told.bad { color: var(--bad); }
"""
HOW = {
    "Processes": "run the shop's price query behind a circuit that they share through a RedisStore; each is "
    "an operating system process of its own. Their clocks are one: the machine's monotonic clock.",
    "Callers": "are a steady, seeded stream of queries. A front gives each to the next process in turn.",
    "Probes": "are calls to the upstream that a process let through while the circuit was not closed in its "
    "eyes. They are counted by the HTTP client, and compared with what the server's audit says it decided.",
    "Redis": "is a private server on a unix socket without persistence: after the kill it comes back empty.",
    "Limits": "follow from the settings, plus a grace for the machine: 0.5 s and three times the longest "
    "delay of the event loop that was measured.",
}


def write_report(result: FleetResult, path: Path | None) -> Path:
    """Write the report and return where it is; without a path, in the current or the temporary folder.

    Raises:
        OSError: the given path cannot be written.
    """
    return write_page(render(result), path, DEFAULT_PATH)


def render(result: FleetResult) -> str:
    """Return the report as HTML."""
    facts, plan = result.facts, result.plan
    broken = sum(not guarantee.kept for guarantee in result.guarantees)
    total = len(result.guarantees)
    badge = f"✗ {broken} of {total} guarantees broken" if broken else f"✓ All {total} guarantees kept"
    story = "".join(
        f'<tr><td>{told.at:.1f} s</td><td class="told {told.kind}">{escape(told.text)}</td></tr>'
        for told in facts.story
    )
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>Holdfast fleet report</title><style>{asset('report.css')}{STYLE}</style></head>",
            "<body><main>",
            "<h1>One circuit, several processes</h1>",
            f'<p class="soft">{plan.processes} processes of a shop share a circuit through Redis. Their '
            "upstream fails, the process that probes is killed, Redis is killed and comes back empty.</p>",
            f'<p class="badge {"broken" if broken else "kept"}">{badge}</p>',
            f"<section><h2>Verdict</h2>{verdict_table(result.guarantees)}</section>",
            "<section><h2>What happened</h2>",
            legend(
                ("healthy", "healthy, closed"),
                ("failing", "failing"),
                ("slow", "hanging, probing"),
                ("dead", "dead, open"),
                ("ramping", "ramping: traffic returns by degrees"),
                ("without", "killed"),
            ),
            _states(facts, plan),
            '<p class="soft">Dots are probes: the calls that reached for the upstream while the circuit was '
            "not closed.</p>",
            "<h3>Answers per second, all processes</h3>",
            legend(
                ("primary", "by primary"),
                ("rejected", "by fallback, upstream spared"),
                ("fallback", "by fallback, after a failed call"),
                ("failed", "lost"),
            ),
            _answers(facts),
            f'<p class="soft">{escape(counted(facts))}</p>',
            f'<div class="scroll"><table><tbody>{story}</tbody></table></div></section>',
            "<section><h2>How it was measured</h2><dl>",
            "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in HOW.items()),
            "</dl></section>",
            f'<p class="soft">Holdfast {__version__}, Python {platform.python_version()}, seed {plan.seed}, '
            f"{_end(facts):.1f} s, event loop lag {milliseconds(facts.lag)}, "
            f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}.</p></main></body></html>\n",
        ]
    )


def _states(facts: Facts, plan: Plan) -> str:
    """Draw a row each for the upstream, Redis and every process."""
    end = _end(facts)
    rows: list[tuple[str, list[Band]]] = [
        ("upstream", upstream_bands(facts, end)),
        ("Redis", store_bands(facts, end)),
        *((f"process {n}", slot_bands(facts, n, end)) for n in range(1, plan.processes + 1)),
    ]
    plot = Plot(end, ROW * len(rows))
    parts: list[str] = []
    for row, (name, bands) in enumerate(rows):
        parts.append(_text(LEFT - 8, row, name, "tick", "end"))
        for band in bands:
            parts += _band(plot, row, name, band)
    for process in facts.processes:
        for call in process.probes():
            title = f"{process.name} probed at {call.started:.2f} s"
            middle = ROW * (process.slot + 1.5) - 1
            dot = element("circle", class_="probe", cx=plot.x(call.started), cy=middle, r=4.5)
            parts.append(dot[:-2] + f">{element('title', title)}</circle>")
    return _figure(plot, "States of the upstream, of Redis and of the circuit in every process", parts)


def _band(plot: Plot, row: int, name: str, band: Band) -> list[str]:
    class_, word = CLASSES.get(band.state, (f"circuit {band.state}", band.state))
    reason = f": {band.reason}" if band.reason else ""
    title = f"{name}: {word} from {band.start:.2f} s to {band.end:.2f} s{reason}"
    box = plot.box(band.start, band.end, ROW * row + 1, ROW * (row + 1) - 3, class_, title)
    # A name that does not fit is in the band's title.
    if plot.x(band.end) - plot.x(band.start) < 7.5 * len(word) + 6:
        return [box]
    return [box, _text((plot.x(band.start) + plot.x(band.end)) / 2, row, word, "inside", "middle")]


def _answers(facts: Facts) -> str:
    """Draw how the requests ended, as stacked columns per slot of time."""
    end = _end(facts)
    counts = {answer: [0] * SLOTS for answer in Answer}
    for asked in facts.asked:
        counts[asked.answer][min(int(asked.at / end * SLOTS), SLOTS - 1)] += 1
    width = end / SLOTS
    most = max(sum(counts[answer][slot] for answer in Answer) for slot in range(SLOTS)) / width
    plot = Plot(end, 130, high=max(most, 1.0))
    step = next((step for step in (5, 10, 20, 25, 50, 100) if plot.high / step <= 4), 200)
    ticks = [float(step * index) for index in range(int(plot.high / step) + 1)]
    parts = [plot.levels(ticks, [f"{tick:g}/s" for tick in ticks])]
    for slot in range(SLOTS):
        base = 0.0
        for answer in (Answer.PRIMARY, Answer.REJECTED, Answer.FALLBACK, Answer.FAILED):
            rate = counts[answer][slot] / width
            if rate:
                start, stop = slot * width, (slot + 0.86) * width
                parts.append(plot.box(start, stop, plot.y(base + rate), plot.y(base), f"answer {answer}"))
            base += rate
    return _figure(plot, "Answers per second", parts)


def _end(facts: Facts) -> float:
    return facts.now() if facts.ended is None else facts.ended


def _text(x: float, row: int, text: str, class_: str, anchor: str) -> str:
    return element("text", text, class_=class_, x=x, y=ROW * row + 16, text_anchor=anchor)


def _figure(plot: Plot, title: str, parts: Sequence[str]) -> str:
    frame = element("line", class_="base", x1=LEFT, x2=WIDTH - RIGHT, y1=plot.height, y2=plot.height)
    return (
        f'<div class="scroll"><svg viewBox="0 -6 {WIDTH:g} {plot.height + 32:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}{frame}{plot.time_axis()}</svg></div>'
    )
