"""The timeline of the live view: one row of characters per measure, time from left to right."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby

from rich.text import Text

from cqrs.demo.figures import Figures
from cqrs.demo.recorder import Recorder, Service
from cqrs.demo.schedule import Kind, Mode
from cqrs.demo.tally import Tally

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


class Timeline:
    """Draws the run so far on the scale of ``seconds`` (or longer, when the run takes longer)."""

    def __init__(self, recorder: Recorder, tally: Tally, seconds: float) -> None:
        self._recorder = recorder
        self._tally = tally
        self._seconds = seconds
        self._slot = 0.0
        self._figures: dict[Service, list[Figures]] = {}

    def rows(self, width: int) -> list[Text]:
        """Draw the rows of the timeline."""
        columns = max(20, width - LABEL)
        length = max(self._seconds, self._recorder.now())
        # The slot that is still filling would show a drop that is not there.
        reached = min(columns, int(self._recorder.now() / length * columns))
        self._fill(length / columns, reached)
        guarded, control = (self._figures[service] for service in Service)
        most = max((figures.total for figures in guarded), default=1) or 1
        return [
            _row("upstream", _phases(self._recorder, self._slot, reached)),
            _row("open circuits", _open_circuits(self._recorder, self._slot, reached)),
            _row("by primary", _spark(guarded, lambda f: f.primary / most, "green")),
            _row("by fallback", _spark(guarded, lambda f: f.by_fallback / most, "yellow")),
            _row("p99 with", _spark(guarded, _slowness, "cyan")),
            _row("p99 without", _spark(control, _slowness, "magenta")),
        ]

    def _fill(self, slot: float, count: int) -> None:
        """Work out the slots that are complete; what is complete never changes, except with the scale."""
        if slot != self._slot:
            self._slot, self._figures = slot, {service: [] for service in Service}
        for service, figures in self._figures.items():
            for index in range(len(figures), count):
                figures.append(self._tally.between(service, index * slot, (index + 1) * slot))


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
    states: dict[Kind, str] = {}
    switches = deque(sorted(recorder.switched, key=lambda switch: switch.at))
    shares: list[float] = []
    for column in range(columns):
        while switches and switches[0].at <= (column + 1) * slot:
            switch = switches.popleft()
            states[switch.kind] = switch.to_state
        shares.append(sum(state == "open" for state in states.values()) / len(Kind))
    strip = Text()
    for some_open, run in groupby(shares, key=bool):
        blocks = "".join(block(share) if some_open else "·" for share in run)
        strip.append(blocks, "red" if some_open else "green")
    return strip


def _spark(slots: Sequence[Figures], share: Callable[[Figures], float], style: str) -> Text:
    return Text("".join(block(share(figures)) for figures in slots), style)


def block(share: float) -> str:
    """Draw a share in [0, 1]; anything above 0 is visible."""
    return BLOCKS[min(math.ceil(share * 8), 8)] if share > 0 else BLOCKS[0]


def _slowness(figures: Figures) -> float:
    """Place a slot's p99 between 1 ms and 1 s on a logarithmic scale."""
    if figures.p99 is None:
        return 0.0
    clamped = min(max(figures.p99, FASTEST), SLOWEST)
    return 0.05 + 0.95 * math.log(clamped / FASTEST) / math.log(SLOWEST / FASTEST)
