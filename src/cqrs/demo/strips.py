"""The timeline of the live view: one row of characters per measure, time from left to right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from rich.text import Text

from cqrs.demo.figures import Figures, slots
from cqrs.demo.recorder import Done, Recorder, Service
from cqrs.demo.schedule import Kind, Mode

MODE_STYLES = {
    Mode.HEALTHY: "black on green",
    Mode.SLOW: "black on yellow",
    Mode.FAILING: "white on dark_orange3",
    Mode.DEAD: "white on red",
}
#: Room for the names of the rows.
LABEL = 15
BLOCKS = " ▁▂▃▄▅▆▇█"
FASTEST, SLOWEST = 0.001, 1.0


def timeline(recorder: Recorder, seconds: float, width: int) -> list[Text]:
    """Draw the run so far on the scale of ``seconds`` (or longer, when the run takes longer)."""
    columns = max(20, width - LABEL)
    length = max(seconds, recorder.now())
    # The slot that is still filling would show a drop that is not there.
    reached = min(columns, int(recorder.now() / length * columns))
    guarded, control = (
        [Figures.of(slot) for slot in slots(_of(recorder, service), length, columns)[:reached]]
        for service in Service
    )
    most = max((figures.total for figures in guarded), default=1) or 1
    return [
        _row("upstream", _phases(recorder, length / columns, reached)),
        _row("open circuits", _open_circuits(recorder, length / columns, reached)),
        _row("by primary", _spark(guarded, lambda f: f.primary / most, "green")),
        _row("by fallback", _spark(guarded, lambda f: f.by_fallback / most, "yellow")),
        _row("p99 with", _spark(guarded, _slowness, "cyan")),
        _row("p99 without", _spark(control, _slowness, "magenta")),
    ]


def _of(recorder: Recorder, service: Service) -> list[Done]:
    return [done for done in recorder.done if done.service is service]


def _row(label: str, strip: Text) -> Text:
    return Text(label.ljust(LABEL), "dim", no_wrap=True).append_text(strip)


def _phases(recorder: Recorder, slot: float, columns: int) -> Text:
    strip = Text()
    by_column = [
        next((entry.phase for entry in reversed(recorder.entered) if entry.at <= (column + 1) * slot), None)
        for column in range(columns)
    ]
    for phase, run in groupby(by_column):
        count = len(list(run))
        if phase is None:
            strip.append(" " * count)
        else:
            strip.append(f" {phase.name}".ljust(count)[:count], MODE_STYLES[phase.mode])
    return strip


def _open_circuits(recorder: Recorder, slot: float, columns: int) -> Text:
    strip = Text()
    states: dict[Kind, str] = {}
    switches = sorted(recorder.switched, key=lambda switch: switch.at)
    for column in range(columns):
        while switches and switches[0].at <= (column + 1) * slot:
            switch = switches.pop(0)
            states[switch.kind] = switch.to_state
        share = sum(state == "open" for state in states.values()) / len(Kind)
        strip.append(_block(share) if share else "·", "red" if share else "green")
    return strip


def _spark(slots_: Sequence[Figures], share: Callable[[Figures], float], style: str) -> Text:
    return Text("".join(_block(share(figures)) for figures in slots_), style)


def _block(share: float) -> str:
    """Draw a share in [0, 1]; anything above 0 is visible."""
    return BLOCKS[min(math.ceil(share * 8), 8)] if share > 0 else BLOCKS[0]


def _slowness(figures: Figures) -> float:
    """Place a slot's p99 between 1 ms and 1 s on a logarithmic scale."""
    if figures.p99 is None:
        return 0.0
    clamped = min(max(figures.p99, FASTEST), SLOWEST)
    return 0.05 + 0.95 * math.log(clamped / FASTEST) / math.log(SLOWEST / FASTEST)
