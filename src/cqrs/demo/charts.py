"""The charts of the report: what the upstream and the circuits did, and what the shops made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from cqrs._svg import LEFT, RIGHT, WIDTH, Plot, element
from cqrs.demo.figures import Figures
from cqrs.demo.schedule import LABELS
from cqrs.demo.summary import CircuitSummary, Summary

ROW = 26.0
LATENCY_TICKS = ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"))
ANSWERS: tuple[tuple[str, Callable[[Figures], int]], ...] = (
    ("primary", lambda figures: figures.primary),
    ("rejected", lambda figures: figures.rejected),
    ("fallback", lambda figures: figures.fallback),
    ("failed", lambda figures: figures.failed),
)


def states_chart(summary: Summary) -> str:
    """Draw one row for the upstream's phases and one for each circuit's states."""
    plot = Plot(summary.seconds, ROW * (len(summary.circuits) + 1))
    parts: list[str] = []
    for phase in summary.phases:
        title = f"{phase.phase.name}: {phase.phase.says}"
        parts.append(plot.box(phase.start, phase.end, 1, ROW - 3, f"phase {phase.phase.mode}", title))
        parts.append(_centred(plot, phase.start, phase.end, 0, phase.phase.name))
    parts.append(_row_name("upstream", 0))
    for row, circuit in enumerate(summary.circuits, 1):
        parts.append(_row_name(LABELS[circuit.kind], row, "small"))
        for start, end, state in _bands(circuit, summary.seconds):
            title = f"{LABELS[circuit.kind]}: {state} from {start:.2f} s to {end:.2f} s"
            parts.append(plot.box(start, end, ROW * row + 1, ROW * (row + 1) - 3, f"circuit {state}", title))
            parts.append(_centred(plot, start, end, row, state))
    story = "; ".join(f"{p.phase.name} from {p.start:.1f} s to {p.end:.1f} s" for p in summary.phases)
    return _figure(plot, "States", f"Phases of the upstream: {story}.", parts)


def answers_chart(summary: Summary, slots: Sequence[Figures], most: int, name: str) -> str:
    """Draw how the requests of one service ended, as stacked columns per slot."""
    width = summary.seconds / len(slots)
    per_second = most / width
    plot = Plot(summary.seconds, 130, high=max(per_second, 1.0))
    parts = [_backdrop(plot, summary)]
    step = _round_step(plot.high)
    ticks = [step * index for index in range(int(plot.high / step) + 1)]
    parts.append(plot.levels(ticks, [f"{tick:g}/s" for tick in ticks]))
    for index, figures in enumerate(slots):
        base = 0.0
        for class_, count in ANSWERS:
            rate = count(figures) / width
            if rate:
                start, end = index * width, (index + 0.86) * width
                parts.append(plot.box(start, end, plot.y(base + rate), plot.y(base), f"answer {class_}"))
            base += rate
    totals = {class_: sum(count(figures) for figures in slots) for class_, count in ANSWERS}
    text = (
        f"{totals['primary']} answered by primaries, {totals['fallback']} by a fallback after a failed call, "
        f"{totals['rejected']} by a fallback without a call, {totals['failed']} failed."
    )
    return _figure(plot, f"Answers per second, {name}", text, parts)


def latency_chart(summary: Summary, guarded: Sequence[Figures], control: Sequence[Figures]) -> str:
    """Draw the median and p99 answer times of both services on a logarithmic scale."""
    plot = Plot(summary.seconds, 160, low=0.0003, high=2.0, logarithmic=True)
    parts = [_backdrop(plot, summary)]
    parts.append(plot.levels([value for value, _ in LATENCY_TICKS], [name for _, name in LATENCY_TICKS]))
    width = summary.seconds / len(guarded)
    for slots, service in ((control, "without"), (guarded, "with")):
        at = [(index + 0.5) * width for index in range(len(slots))]
        p99 = [(time, figures.p99) for time, figures in zip(at, slots, strict=True)]
        p50 = [(time, figures.p50) for time, figures in zip(at, slots, strict=True)]
        parts += [plot.line(p99, f"series {service} p99"), plot.line(p50, f"series {service}")]
    text = "Median and 99th percentile of answer times, with and without circuit breakers, logarithmic."
    return _figure(plot, "Answer times", text, parts)


def calls_chart(summary: Summary, guarded: Sequence[int], control: Sequence[int]) -> str:
    """Draw how many calls per second reached for the upstream."""
    width = summary.seconds / len(guarded)
    most = max([*guarded, *control, 1]) / width
    plot = Plot(summary.seconds, 110, high=most)
    step = _round_step(most)
    ticks = [step * index for index in range(int(most / step) + 1)]
    parts = [_backdrop(plot, summary), plot.levels(ticks, [f"{tick:g}/s" for tick in ticks])]
    for slots, service in ((control, "without"), (guarded, "with")):
        points = [((index + 0.5) * width, count / width) for index, count in enumerate(slots)]
        parts.append(plot.line(points, f"series {service}"))
    text = f"{sum(guarded)} calls with circuit breakers, {sum(control)} without."
    return _figure(plot, "Calls to the upstream per second", text, parts)


def _bands(circuit: CircuitSummary, seconds: float) -> list[tuple[float, float, str]]:
    bands: list[tuple[float, float, str]] = []
    start, state = 0.0, "closed"
    for switch in circuit.switches:
        bands.append((start, switch.at, state))
        start, state = switch.at, switch.to_state
    return [*bands, (start, seconds, state)]


def _backdrop(plot: Plot, summary: Summary) -> str:
    return "".join(
        plot.box(phase.start, phase.end, 0, plot.height, f"backdrop {phase.phase.mode}")
        for phase in summary.phases
    )


def _centred(plot: Plot, start: float, end: float, row: int, text: str) -> str:
    middle, room = (plot.x(start) + plot.x(end)) / 2, plot.x(end) - plot.x(start)
    # A name that does not fit is in the band's title.
    if room < 7.5 * len(text) + 6:
        return ""
    return element("text", text, class_="inside", x=middle, y=ROW * row + 16, text_anchor="middle")


def _row_name(text: str, row: int, size: str = "") -> str:
    return element(
        "text", text, class_=f"tick {size}".strip(), x=LEFT - 8, y=ROW * row + 16, text_anchor="end"
    )


def _round_step(high: float) -> float:
    return next((step for step in (5, 10, 20, 25, 50, 100, 200) if high / step <= 4), 500)


def _figure(plot: Plot, title: str, text: str, parts: Sequence[str]) -> str:
    cursor = element("line", class_="cursor", x1=LEFT, x2=LEFT, y1=0, y2=plot.height)
    frame = element("line", class_="base", x1=LEFT, x2=WIDTH - RIGHT, y1=plot.height, y2=plot.height)
    return (
        f'<div class="scroll"><svg viewBox="0 -6 {WIDTH:g} {plot.height + 32:g}" role="img" tabindex="0" '
        f'aria-label="{escape(title)}. {escape(text)}">'
        f"{''.join(parts)}{frame}{plot.time_axis()}{cursor}</svg></div>"
    )
