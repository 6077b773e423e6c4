"""Small runs of the two big ones: many sagas, and many rows of an outbox, among processes that are killed."""

from __future__ import annotations

import subprocess
import sys

from tests.crash.conftest import ROOT


def figures(command: str, url: str, **options: float) -> dict[str, float]:
    """Run a command, which must find nothing wrong, and return the table that it prints."""
    words = [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [sys.executable, "-m", f"tests.crash.{command}", f"--url={url}", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    rows = (line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    return {name: float(value) for name, value in rows}


def test_killed_processes_leave_no_saga_behind(postgres_url: str) -> None:
    found = figures("sagas", postgres_url, sagas=120, batch=10, killed=0.4, processes=3, recoverers=3)
    assert found["executing killed"] > 0
    assert found["recovering killed"] > 0
    assert found["recovered"] > 0
    ends = ("never begun", "completed", "fully compensated", "compensation given up")
    assert sum(found[end] for end in ends) == 120
    assert found["stuck"] == found["steps done twice after completion"] == 0


def test_killed_processes_lose_nothing_of_an_outbox(postgres_url: str) -> None:
    found = figures("outbox", postgres_url, rows=2000, relays=3, kills=6, consumers=1, lease=1)
    assert found["killed"] > 2
    assert found["committed"] == found["published"] == found["handled"] > 1000
