"""The course of a comparison as one SVG file that stands alone, in light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape
from typing import NamedTuple

from cqrs._svg import LEFT, RIGHT, WIDTH, Plot, element
from cqrs.simulation.result import SimulationResult, Slot
from cqrs.simulation.scenario import Scenario

_COLOURS = (("#6b7280", "#9ca3af"), ("#0b6bcb", "#58a6ff"), ("#c2410c", "#fb923c"), ("#7e22ce", "#c084fc"))
_MORE = (("#15803d", "#4ade80"), ("#b91c8c", "#f472b6"))
_ALL = _COLOURS + _MORE
MOST = len(_ALL)
"""Policies that one chart can tell apart."""

_HEIGHT, _GAP, _HEAD = 110.0, 46.0, 64.0
_SMOOTH = 3  # seconds; a mean of the past, so that nothing shows before it happens


def chart(results: Mapping[str, SimulationResult], scenario: Scenario) -> str:
    """Draw calls sent, calls answered and circuits not closed, per second, one line per policy.

    With shared circuits also the commands that the store got.

    Raises:
        ValueError: there are more than ``MOST`` policies, or none.
    """
    if not 0 < len(results) <= MOST:
        raise ValueError(f"a chart shows from 1 to {MOST} policies, not {len(results)}")
    first = next(iter(results.values()))
    shared = any(result.store is not None for result in results.values())
    panels = [
        _Panel("calls per second sent to the dependency", _sent, _busiest(results, _sent)),
        _Panel("share of the calls that it answered", _answered, 1.0),
        _Panel("share of the circuits that are not closed", _not_closed(first), 1.0, smooth=False),
    ]
    if shared:
        panels.append(_Panel("share of the circuits that are open", _open(first), 1.0, smooth=False))
        panels.append(_Panel("commands per second at the store", _commands, _busiest(results, _commands)))
    height = _HEAD + len(panels) * (_HEIGHT + _GAP)
    title = f"{scenario.name}: {first.processes} processes, {len(results)} policies"
    parts = [element("style", _style()), element("rect", class_="paper", width=WIDTH + 12, height=height)]
    parts += _legend(list(results))
    for index, panel in enumerate(panels):
        high = panel.high
        plot = Plot(scenario.duration, _HEIGHT, high=high)
        inside = [
            _phases(plot, scenario, names=index == 0),
            element("text", panel.name, class_="name", x=LEFT, y=-6.0),
        ]
        inside.append(
            plot.levels([0.0, high / 2, high], [_tick(level, high) for level in (0.0, high / 2, high)])
        )
        for number, result in enumerate(results.values()):
            values = [panel.value(slot) for slot in result.slots]
            points = _smoothed(values) if panel.smooth else values
            line = [(second + 0.5, point) for second, point in enumerate(points)]
            inside.append(plot.line(line, f"series s{number}"))
        inside.append(plot.time_axis())
        top = _HEAD + index * (_HEIGHT + _GAP)
        parts.append(f'<g transform="translate(0 {top:g})">{"".join(inside)}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 12:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>\n'
    )


class _Panel(NamedTuple):
    name: str
    value: Callable[[Slot], float]
    high: float
    smooth: bool = True


def _sent(slot: Slot) -> float:
    return slot.sent


def _answered(slot: Slot) -> float:
    return slot.answered / max(1, slot.sent + slot.rejected)


def _not_closed(result: SimulationResult) -> Callable[[Slot], float]:
    return lambda slot: slot.not_closed / result.processes


def _open(result: SimulationResult) -> Callable[[Slot], float]:
    return lambda slot: slot.open / result.processes


def _commands(slot: Slot) -> float:
    return slot.commands


def _busiest(results: Mapping[str, SimulationResult], value: Callable[[Slot], float]) -> float:
    """Return the top of the scale: round, with room for the names of the phases."""
    most = max(
        point for result in results.values() for point in _smoothed([value(slot) for slot in result.slots])
    )
    wanted = max(1.0, 1.2 * most)
    step = 10.0 ** math.floor(math.log10(wanted)) / 2
    return step * math.ceil(wanted / step)


def _smoothed(values: list[float]) -> list[float]:
    ranges = [values[max(0, at - _SMOOTH + 1) : at + 1] for at in range(len(values))]
    return [sum(some) / len(some) for some in ranges]


def _tick(level: float, high: float) -> str:
    return f"{level:.0%}" if high == 1.0 else f"{level:g}/s"


def _phases(plot: Plot, scenario: Scenario, *, names: bool) -> str:
    parts: list[str] = []
    for start, phase in zip(scenario.starts, scenario.phases, strict=True):
        end = start + phase.duration
        if not phase.healthy or phase.node_fault is not None:
            parts.append(plot.box(start, end, 0, plot.height, "fault", phase.name))
        room = plot.x(end) - plot.x(start)
        if names and room > 6.5 * len(phase.name):
            middle = plot.x(start) + room / 2
            parts.append(element("text", phase.name, class_="phase", x=middle, y=12.0, text_anchor="middle"))
    return "".join(parts)


def _legend(names: list[str]) -> list[str]:
    parts: list[str] = []
    x, y = LEFT, 18.0
    for number, name in enumerate(names):
        width = 40 + 6.8 * len(name)
        if x + width > WIDTH - RIGHT and x > LEFT:
            x, y = LEFT, y + 18
        parts.append(element("line", class_=f"series s{number}", x1=x, x2=x + 20, y1=y - 4, y2=y - 4))
        parts.append(element("text", name, class_="name", x=x + 26, y=y))
        x += width
    return parts


def _style() -> str:
    def colours(which: int) -> str:
        return "".join(f".s{number}{{stroke:{pair[which]}}}" for number, pair in enumerate(_ALL))

    light = "text{font:12px system-ui,sans-serif;fill:#374151}.paper{fill:#fff}.grid{stroke:#e5e7eb}"
    dark = "text{fill:#d1d5db}.paper{fill:#0d1117}.grid{stroke:#30363d}.fault{fill:#f85149;opacity:.16}"
    return (
        f"{light}.tick{{font-size:11px;opacity:.8}}.phase{{font-size:11px;font-style:italic}}"
        f".fault{{fill:#dc2626;opacity:.1}}.series{{stroke-width:2;stroke-linejoin:round;fill:none}}.s0{{stroke-width:4}}{colours(0)}"
        f"@media(prefers-color-scheme:dark){{{dark}{colours(1)}}}"
    )
