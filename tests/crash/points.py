"""Crash points: places at which a process may die; it does at the n-th that it comes by."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reach = Callable[[str], None]

QUIET = ("after COMMIT", "after act", "after compensate")


class CrashPoints:
    """Counts the places that a process comes by, and kills it at the n-th.

    Args:
        fatal: the number, from 1, of the place at which to die; 0: at none.
        epitaph: a file that will tell the number and the name of that place.
        paused: do not die there, but stand still until SIGCONT, as a process does whose machine is suspended;
            only places count at which no transaction is open, and no step is about to act.
    """

    def __init__(self, fatal: int = 0, epitaph: Path | None = None, *, paused: bool = False) -> None:
        self.fatal = fatal
        self.paused = paused
        self.epitaph = epitaph
        self.reached = 0

    def reach(self, name: str) -> None:
        if self.paused and not name.startswith(QUIET):
            return
        self.reached += 1
        if self.reached == self.fatal:
            self._write(name)
            os.kill(os.getpid(), signal.SIGSTOP if self.paused else signal.SIGKILL)

    def survived(self) -> None:
        """Tell that the process has come to its end, and how many places it came by."""
        self._write("the end")

    @staticmethod
    def reached_by(epitaph: Path) -> int:
        """Read how many places a process came by that has ended."""
        return int(epitaph.read_text().partition(":")[0])

    def _write(self, name: str) -> None:
        if self.epitaph is not None:
            self.epitaph.write_text(f"{self.reached}: {name}")


def watch_statements(engine: Any, reach: Reach) -> None:
    """Come by a place before and after each statement and each COMMIT of an asynchronous engine.

    What ``reach`` raises takes the place of what the database would have answered: before a statement or
    COMMIT nothing has happened; after it, all has happened and the reply is lost.
    """
    from sqlalchemy import event

    sync_engine = engine.sync_engine

    @event.listens_for(sync_engine, "before_cursor_execute")
    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        reach(f"before {shortened(statement)}")

    @event.listens_for(sync_engine, "after_cursor_execute")
    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        reach(f"after {shortened(statement)}")

    dialect = sync_engine.dialect
    commit = dialect.do_commit

    def do_commit(connection: Any) -> None:
        reach("before COMMIT")
        commit(connection)
        reach("after COMMIT")

    dialect.do_commit = do_commit


def shortened(statement: str) -> str:
    return " ".join(statement.split())[:60]
