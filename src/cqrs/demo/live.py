"""The live view of a terminal, drawn with rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cqrs.demo.figures import Figures, milliseconds, percent
from cqrs.demo.recorder import Called, Done, Service
from cqrs.demo.schedule import LABELS, Kind, Mode
from cqrs.demo.story import sentence_of, transition
from cqrs.demo.strips import MODE_STYLES, timeline
from cqrs.demo.view import Scene

#: Answer times are of the last seconds, so that they show what happens now.
RECENT = 3.0
#: Lines above the story.
ROWS = 22

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

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        recorder = self._scene.recorder
        width, height = options.max_width, options.height or console.size.height
        yield self._title(width)
        yield self._upstream()
        yield _rule(width)
        yield self._circuits(width)
        yield _rule(width)
        yield self._comparison(width)
        yield _rule(width)
        yield from timeline(recorder, self._scene.timing.seconds, width)
        yield _rule(width)
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
            Text(sentence_of(recorder, index), "bold" if index == recorder.phase else "dim")
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

    def _circuits(self, width: int) -> Table:
        recorder = self._scene.recorder
        table = _table(width, "Circuit", "State", "Calls", "Primary", "Fallback", "Rejected", "p50", "p99")
        states = self._scene.circuits()
        calls = [call for call in recorder.called if call.service is Service.WITH]
        requests = [done for done in recorder.done if done.service is Service.WITH]
        for kind in Kind:
            mark, style = STATE_STYLES.get(states[kind], ("?", "red"))
            own = [done for done in requests if done.kind is kind]
            self._row(
                table, Text(LABELS[kind]), Text(f"{mark} {states[kind]}", style), own, _of_kind(calls, kind)
            )
        self._row(table, Text("together", "bold"), Text(""), requests, len(calls))
        return table

    def _row(self, table: Table, name: Text, state: Text, requests: Sequence[Done], calls: int) -> None:
        figures = Figures.of(requests)
        now = self._scene.recorder.now()
        recent = Figures.of(done for done in requests if done.at > now - RECENT)
        table.add_row(
            name,
            state,
            str(calls),
            Text(str(figures.primary), "green"),
            Text(str(figures.fallback), "yellow"),
            Text(str(figures.rejected), "cyan"),
            milliseconds(recent.p50),
            milliseconds(recent.p99),
        )

    def _comparison(self, width: int) -> Table:
        recorder = self._scene.recorder
        table = _table(width, "Service", "Answered", "Requests", "Failed", "p50", "p99", "Trouble calls")
        modes = [entry.phase.mode for entry in recorder.entered]
        for service in Service:
            figures = Figures.of(done for done in recorder.done if done.service is service)
            trouble = sum(
                call.service is service and modes[call.phase] is not Mode.HEALTHY for call in recorder.called
            )
            table.add_row(
                Text(service, "bold"),
                Text(percent(figures.answered_percent), "red" if figures.failed else "green"),
                str(figures.total),
                Text(str(figures.failed), "red" if figures.failed else ""),
                milliseconds(figures.p50),
                milliseconds(figures.p99),
                str(trouble),
            )
        return table


def _rule(width: int) -> Text:
    return Text("─" * width, "dim")


def _table(width: int, *columns: str) -> Table:
    table = Table(box=None, width=min(width, 110), padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    for index, column in enumerate(columns):
        text = index == 0 or column == "State"
        room = 11 if column == "State" else 16 if text else len(column)
        table.add_column(column, justify="left" if text else "right", no_wrap=True, min_width=room)
    return table


def _of_kind(calls: Sequence[Called], kind: Kind) -> int:
    return sum(call.kind is kind for call in calls)
