"""One scenario: a saga is executed, its process dies, it is recovered, perhaps dies again; all is checked."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.crash import forks
from tests.crash.facts import Facts, problems_of_end, problems_of_moment, problems_of_progress
from tests.crash.orders import VARIANTS
from tests.crash.points import CrashPoints
from tests.crash.programs import execute_order, look_at_order, recover_order


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What happens, in this order.

    Attributes:
        variant: how the order goes: a key of `VARIANTS`.
        url: the database; its tables exist. A SQLite file is a template, which is copied.
        folder: a new folder for this scenario alone.
        fatal: the number of the crash point at which the process dies, then that of a process that recovers
            it, and so on; 0 for none. The last recovery, without a crash, comes by itself.
        recoverers: how many processes recover at once in the end.
        paused: the process does not die, but stands still, and goes on once the saga was recovered.
    """

    variant: str
    url: str
    folder: str
    fatal: tuple[int, ...]
    recoverers: int = 1
    paused: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a scenario.

    Attributes:
        died: where processes died, in order; shorter than ``fatal`` when one had fewer crash points.
        problems: what is wrong; empty when all is well.
        reached: how many crash points the first process came by that ended by itself.
    """

    died: tuple[str, ...]
    problems: tuple[str, ...]
    reached: int = 0


def play(scenario: Scenario) -> Outcome:
    """Play a scenario; to be called in a process without threads."""
    played = _Played(scenario)
    problems: list[str] = []
    try:
        played.play()
    except forks.Ended as ended:
        problems.append(str(ended))
    if played.is_changed:
        problems.append("who was paused has changed something after the recovery")
    moments = played.moments
    for moment in moments:
        problems += problems_of_moment(moment)
    for before, after in itertools.pairwise(moments):
        problems += problems_of_progress(before, after)
    if moments and not problems:
        problems += problems_of_end(moments[-1], VARIANTS[scenario.variant].expected)
    if problems:
        problems += map(str, moments)
    return Outcome(tuple(played.died), tuple(problems), played.reached)


class _Played:
    """A scenario while it is played: who died where, and what was durable in between."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.folder = Path(scenario.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.url = scenario.url
        if self.url.startswith("sqlite"):
            driver, _, template = self.url.partition(":///")
            shutil.copy(template, self.folder / "saga.sqlite")
            self.url = f"{driver}:///{self.folder / 'saga.sqlite'}"
        self.effects = self.folder / "effects"
        self.saga_id = uuid.uuid4()
        self.died: list[str] = []
        self.reached = 0
        self.moments: list[Facts] = []
        self.is_changed = False

    def play(self) -> None:
        if self.scenario.paused:
            self._pause(self.scenario.fatal[0])
            return
        first, *others = self.scenario.fatal
        self._child(first, execute_order, self.scenario.variant)
        for fatal in others:
            self._recover(fatal)
        if self.scenario.recoverers == 1:
            self._recover(0)
        else:
            self._recover_together()

    def _pause(self, fatal: int) -> None:
        """Let a process stand still while another one recovers its saga; then it must change nothing more."""
        epitaph = self.folder / "paused"
        points = CrashPoints(fatal, epitaph, paused=True)
        variant = self.scenario.variant
        pid = forks.fork(execute_order, self.url, self.effects, points, self.saga_id, variant)
        if not forks.wait_until_paused(pid):
            self.reached = points.reached_by(epitaph)
            self._recover(0)
            return
        self.died.append(epitaph.read_text())
        self._recover(0)
        os.kill(pid, signal.SIGCONT)
        forks.expect(forks.wait(pid))
        self._look()
        before, after = self.moments[-2:]
        self.is_changed = before.status is not None and after != before  # there was a saga to recover

    def _child(self, fatal: int, function: Callable[..., None], *arguments: object) -> bool:
        """Run a child that dies at a crash point; return whether it did."""
        epitaph = self.folder / f"child-{len(self.died)}"
        points = CrashPoints(fatal, epitaph)
        status = forks.run(function, self.url, self.effects, points, self.saga_id, *arguments)
        killed = forks.expect(status, killed=fatal > 0)
        if killed:
            self.died.append(epitaph.read_text())
        elif not self.reached:
            self.reached = points.reached_by(epitaph)
        return killed

    def _recover(self, fatal: int) -> None:
        before, after = self.folder / "before", self.folder / "after"
        killed = self._child(fatal, recover_order, before, after)
        self.moments.append(Facts.from_json(before.read_text()))
        if not killed:
            self.moments.append(Facts.from_json(after.read_text()))

    def _recover_together(self) -> None:
        """Let several processes recover the saga at once."""
        self._look()
        children = [
            forks.fork(recover_order, self.url, self.effects, CrashPoints(), self.saga_id)
            for _ in range(self.scenario.recoverers)
        ]
        for status in [forks.wait(child) for child in children]:
            forks.expect(status)
        self._look()

    def _look(self) -> None:
        file = self.folder / "after"
        forks.expect(forks.run(look_at_order, self.url, self.effects, self.saga_id, file))
        self.moments.append(Facts.from_json(file.read_text()))
