"""The live view of a terminal, drawn with rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from cqrs.demo.fleet.facts import Facts, Process
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.fleet.timeline import Band, slot_bands, store_bands, upstream_bands
from cqrs.demo.fleet.view import MARKS
from cqrs.demo.live import STATE_STYLES, draw_rule, lay_out
from cqrs.demo.recorder import Answer
from cqrs.demo.schedule import Mode
from cqrs.demo.strips import LABEL, MODE_STYLES, block

#: Columns and their widths in a terminal of 80 columns; wider ones stretch them, up to a point.
COLUMNS = {
    "Process": 11,
    "pid": 9,
    "Circuit": 12,
    "Redis": 7,
    "Answers": 8,
    "Primary": 8,
    "Fallback": 9,
    "Spared": 8,
    "Probes": 8,
}
LEFT = {"Process", "pid", "Circuit", "Redis"}
UPSTREAM_WORDS = {Mode.SLOW: "HANGING"}
STRIPS = {
    "closed": ("·", "green"),
    "open": ("█", "red"),
    "probing": ("▒", "yellow"),
    "ramping": ("▲", "cyan"),
    "killed": ("✗", "bold magenta"),
}
TOLD_STYLES = {"act": "bold", "good": "green", "bad": "bold red", "": "dim"}


class LiveFleetView:
    """Redraws one screen; the terminal's own content comes back afterwards.

    Args:
        console: where to draw.
    """

    interval = 0.2

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self, facts: Facts, plan: Plan) -> None:
        """Take the screen."""
        picture = FleetPicture(facts, plan)
        self._live = Live(picture, console=self._console, screen=True, auto_refresh=False)
        self._live.start(refresh=True)

    def refresh(self) -> None:
        """Draw the present state."""
        self._live.refresh()

    def stop(self) -> None:
        """Give the screen back."""
        self._live.stop()


class FleetPicture:
    """The picture; drawn anew for the size that the terminal has at the moment."""

    def __init__(self, facts: Facts, plan: Plan) -> None:
        self._facts = facts
        self._plan = plan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        lines = [
            self._title(width),
            self._surroundings(),
            self._circuit(),
            draw_rule(width),
            *self._processes(width),
            draw_rule(width),
            *self._strips(width),
            draw_rule(width),
        ]
        lines += self._story(height - len(lines))
        for line in lines[:height]:
            line.truncate(width, overflow="ellipsis")
            yield line

    def _title(self, width: int) -> Text:
        left = Text("Holdfast", "bold").append(
            f"  {self._plan.processes} processes share one circuit", "not bold"
        )
        clock = f"{self._facts.now():.1f} of about {self._plan.seconds:g} s · Ctrl-C stops"
        return left.append(clock.rjust(max(1, width - left.cell_len)), "dim")

    def _surroundings(self) -> Text:
        facts, line = self._facts, Text("Upstream ")
        if facts.upstream:
            mode = facts.upstream[-1][1]
            line.append(f" {UPSTREAM_WORDS.get(mode, mode.name)} ", MODE_STYLES[mode])
        if facts.store:
            alive = facts.store[-1][1]
            line.append("   Redis ").append(
                *((" ALIVE ", "black on green") if alive else (" DEAD ", "white on red"))
            )
        again = sum(asked.tries > 1 for asked in facts.asked)
        lost = sum(asked.answer is Answer.FAILED for asked in facts.asked)
        line.append(f"   asked {facts.sent}, answered {len(facts.asked) - lost}, ")
        line.append(f"lost {lost}", "bold red" if lost else "green")
        return line.append(f", again {again}" if again else "")

    def _circuit(self) -> Text:
        """Tell what the server has decided last, or that there is none to decide."""
        facts = self._facts
        if facts.store and not facts.store[-1][1]:
            return Text("Shared circuit  Redis is dead: every process decides for itself", "yellow")
        since = facts.store[-1][0] if facts.store else 0.0
        decided = next((d for d in reversed(facts.decisions) if d.at >= since), None)
        word = (
            "closed" if decided is None else {"half_open": "probing"}.get(decided.to_state, decided.to_state)
        )
        mark, style = STATE_STYLES[word]
        reason = "" if decided is None else f"  {decided.reason}, {facts.now() - decided.at:.1f} s ago"
        return Text("Shared circuit  ").append(f"{mark} {word}", style).append(reason, "dim")

    def _processes(self, width: int) -> list[Text]:
        lines = [lay_out(COLUMNS, [(name, "dim") for name in COLUMNS], width, LEFT)]
        for process in self._facts.current():
            lines.append(self._process(process, width))
        return lines

    def _process(self, process: Process, width: int) -> Text:
        answers = process.answers
        mark, style = STATE_STYLES.get(process.state, ("?", "red"))
        circuit, store = (f"{mark} {process.state}", style), ("shared", "green")
        if process.killed is not None:
            circuit, store = ("✗ killed", "bold magenta"), ("", "")
        elif process.ready is None:
            circuit, store = ("starting", "dim"), ("", "")
        elif process.alone:
            store = ("alone", "bold yellow")
        row = [
            (process.name, "bold"),
            (str(process.pid), "dim"),
            circuit,
            store,
            (str(sum(answers.values())), ""),
            (str(answers[Answer.PRIMARY]), "green"),
            (str(answers[Answer.FALLBACK] + answers[Answer.REJECTED]), "yellow"),
            (str(answers[Answer.REJECTED]), "cyan"),
            (str(len(process.probes())), ""),
        ]
        return lay_out(COLUMNS, row, width, LEFT)

    def _strips(self, width: int) -> list[Text]:
        facts, now = self._facts, self._facts.now()
        columns = max(20, width - LABEL)
        slot = max(self._plan.seconds, now) / columns
        reached = min(columns, int(now / slot))
        lines = [
            _row("upstream", _named(upstream_bands(facts, now), slot, reached)),
            _row("Redis", _store(store_bands(facts, now), slot, reached)),
        ]
        for number in range(1, self._plan.processes + 1):
            strip = _states(slot_bands(facts, number, now), slot, reached)
            self._mark_probes(strip, number, slot, reached)
            lines.append(_row(f"process {number}", strip))
        return [*lines, *_answers(facts, slot, reached)]

    def _mark_probes(self, strip: Text, number: int, slot: float, reached: int) -> None:
        for process in self._facts.processes:
            if process.slot == number:
                for call in process.probes():
                    column = int(call.started / slot)
                    if column < reached:
                        strip.plain = strip.plain[:column] + "◆" + strip.plain[column + 1 :]
                        strip.stylize("bold yellow", column, column + 1)

    def _story(self, room: int) -> list[Text]:
        """Tell what happened last, as far as there is room."""
        told = self._facts.story[-room:] if room > 0 else []
        return [
            Text(f"{line.at:5.1f} s {MARKS[line.kind]} {line.text}", TOLD_STYLES[line.kind]) for line in told
        ]


def _row(label: str, strip: Text) -> Text:
    return Text(label.ljust(LABEL), "dim", no_wrap=True).append_text(strip)


def _by_column(bands: Sequence[Band], slot: float, columns: int) -> list[str]:
    """Return the state in which each column ends, ``""`` where there is none."""
    found: list[str] = []
    waiting = list(bands)
    for column in range(columns):
        moment = (column + 1) * slot
        while len(waiting) > 1 and waiting[0].end <= moment:
            waiting.pop(0)
        found.append(waiting[0].state if waiting and waiting[0].start <= moment else "")
    return found


def _states(bands: Sequence[Band], slot: float, columns: int) -> Text:
    strip = Text()
    for state in _by_column(bands, slot, columns):
        strip.append(*STRIPS.get(state, (" ", "")))
    return strip


def _named(bands: Sequence[Band], slot: float, columns: int) -> Text:
    strip = Text()
    for state, run in groupby(_by_column(bands, slot, columns)):
        count = len(list(run))
        if not state:
            strip.append(" " * count)
            continue
        mode = Mode(state)
        word = UPSTREAM_WORDS.get(mode, mode.name).lower()
        strip.append(f" {word}".ljust(count)[:count], MODE_STYLES[mode])
    return strip


def _store(bands: Sequence[Band], slot: float, columns: int) -> Text:
    strip = Text()
    for state, run in groupby(_by_column(bands, slot, columns)):
        count = len(list(run))
        if state == "dead":
            strip.append(" dead".ljust(count)[:count], "white on red")
        else:
            strip.append("·" * count, "green")
    return strip


def _answers(facts: Facts, slot: float, columns: int) -> list[Text]:
    counts: Mapping[bool, list[int]] = {True: [0] * columns, False: [0] * columns}
    for asked in facts.asked:
        column = int(asked.at / slot)
        if column < columns and asked.answer is not Answer.FAILED:
            counts[asked.answer is Answer.PRIMARY][column] += 1
    most = max((a + b for a, b in zip(counts[True], counts[False], strict=True)), default=1) or 1
    return [
        _row(label, Text("".join(block(n / most) for n in counts[primary]), style))
        for label, primary, style in (("by primary", True, "green"), ("by fallback", False, "yellow"))
    ]
