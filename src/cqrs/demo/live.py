"""The live view of a terminal, drawn with rich."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from cqrs.demo.figures import milliseconds, percent
from cqrs.demo.recorder import Service
from cqrs.demo.schedule import LABELS, Kind
from cqrs.demo.story import sentence, transition
from cqrs.demo.strips import MODE_STYLES, Timeline
from cqrs.demo.tally import Tally
from cqrs.demo.view import Scene

#: Answer times are of the last seconds, so that they show what happens now.
RECENT = 3.0
#: Lines above the story.
ROWS = 22
#: Columns and their widths in a terminal of 80 columns; wider ones stretch them, up to a point.
CIRCUIT_COLUMNS = {
    "Circuit": 17,
    "State": 12,
    "Calls": 6,
    "Primary": 9,
    "Fallback": 9,
    "Rejected": 9,
    "p50": 9,
    "p99": 9,
}
SERVICE_COLUMNS = {
    "Service": 17,
    "Answered": 10,
    "Requests": 10,
    "Failed": 9,
    "p50": 9,
    "p99": 9,
    "Trouble calls": 16,
}
LEFT = {"Circuit", "State", "Service"}
NARROWEST, WIDEST = 80, 112

STATE_STYLES = {
    "closed": ("●", "green"),
    "open": ("■", "bold red"),
    "probing": ("◆", "yellow"),
    "ramping": ("▲", "cyan"),
}


class LiveView:
    """Redraws one screen; the terminal's own content comes back afterwards.

    Args:
        console: where to draw.
    """

    interval = 0.2

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self, scene: Scene) -> None:
        """Take the screen."""
        self._live = Live(Picture(scene), console=self._console, screen=True, auto_refresh=False)
        self._live.start(refresh=True)

    def refresh(self) -> None:
        """Draw the present state."""
        self._live.refresh()

    def stop(self) -> None:
        """Give the screen back."""
        self._live.stop()


class Picture:
    """The picture; drawn anew for the size that the terminal has at the moment."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._tally = Tally(scene.recorder)
        self._timeline = Timeline(scene.recorder, self._tally, scene.timing.seconds)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        self._tally.update()
        yield self._title(width)
        yield self._upstream()
        yield draw_rule(width)
        yield from self._circuits(width)
        yield draw_rule(width)
        yield from self._comparison(width)
        yield draw_rule(width)
        yield from self._timeline.rows(width)
        yield draw_rule(width)
        for line in self._story(height - ROWS)[: height - ROWS]:
            line.truncate(width, overflow="ellipsis")
            yield line

    def _title(self, width: int) -> Text:
        left = Text("Holdfast", "bold").append("  two equal shops, one upstream that fails", "not bold")
        clock = f"{self._scene.recorder.now():.1f} of {self._scene.timing.seconds:g} s · Ctrl-C stops"
        return left.append(clock.rjust(max(1, width - left.cell_len)), "dim")

    def _upstream(self) -> Text:
        entered = self._scene.recorder.entered
        if not entered:
            return Text("upstream starts", "dim")
        phase = entered[-1].phase
        return Text.assemble(
            "Upstream ", (f" {phase.name.upper()} ", MODE_STYLES[phase.mode]), "  ", phase.says
        )

    def _story(self, room: int) -> list[Text]:
        """Tell the latest phases, and below them the latest changes of circuits, as far as there is room."""
        recorder = self._scene.recorder
        phases = list(range(len(recorder.entered)))[-max(1, room) :]
        lines = [
            Text(
                sentence(recorder.entered[index].phase, self._tally.counts(Service.WITH, phase=index)),
                "bold" if index == recorder.phase else "dim",
            )
            for index in phases
        ]
        spare = room - len(self._scene.timing.phases()) - 1
        if spare > 0:
            lines.append(Text())
            lines += [
                Text(f"{switch.at:6.2f} s  {transition(switch)}", "dim")
                for switch in recorder.switched[-spare:]
            ]
        return lines

    def _circuits(self, width: int) -> list[Text]:
        states = self._scene.circuits()
        lines = [lay_out(CIRCUIT_COLUMNS, [(name, "dim") for name in CIRCUIT_COLUMNS], width)]
        for kind in Kind:
            mark, style = STATE_STYLES.get(states[kind], ("?", "red"))
            calls = self._tally.calls[Service.WITH, kind]
            lines.append(self._circuit(width, LABELS[kind], (f"{mark} {states[kind]}", style), calls, kind))
        total = sum(self._tally.calls[Service.WITH, kind] for kind in Kind)
        return [*lines, self._circuit(width, "together", ("", ""), total, None)]

    def _circuit(self, width: int, name: str, state: tuple[str, str], calls: int, kind: Kind | None) -> Text:
        figures = self._tally.counts(Service.WITH, kind)
        now = self._scene.recorder.now()
        recent = self._tally.between(Service.WITH, now - RECENT, math.inf, kind)
        cells = [
            (name, "" if kind else "bold"),
            state,
            (str(calls), ""),
            (str(figures.primary), "green"),
            (str(figures.fallback), "yellow"),
            (str(figures.rejected), "cyan"),
            (milliseconds(recent.p50), ""),
            (milliseconds(recent.p99), ""),
        ]
        return lay_out(CIRCUIT_COLUMNS, cells, width)

    def _comparison(self, width: int) -> list[Text]:
        lines = [lay_out(SERVICE_COLUMNS, [(name, "dim") for name in SERVICE_COLUMNS], width)]
        for service in Service:
            figures = self._tally.counts(service)
            p50, p99 = self._tally.times(service)
            alarm = "bold red" if figures.failed else "green"
            cells = [
                (service.value, "bold"),
                (percent(figures.answered_percent), alarm),
                (str(figures.total), ""),
                (str(figures.failed), alarm if figures.failed else ""),
                (milliseconds(p50), ""),
                (milliseconds(p99), ""),
                (str(self._tally.calls_in_trouble[service]), ""),
            ]
            lines.append(lay_out(SERVICE_COLUMNS, cells, width))
        return lines


def draw_rule(width: int) -> Text:
    """Draw a line across the screen."""
    return Text("─" * width, "dim")


def lay_out(
    columns: Mapping[str, int], texts: Sequence[tuple[str, str]], width: int, left: Set[str] = LEFT
) -> Text:
    """Lay out a row; those in ``left`` stand left, numbers right. A wide terminal gets wider columns."""
    line = Text(no_wrap=True)
    for (name, room), (text, style) in zip(columns.items(), texts, strict=True):
        stretched = room * min(width, WIDEST) // NARROWEST
        line.append(text.ljust(stretched) if name in left else text.rjust(stretched), style)
    return line
