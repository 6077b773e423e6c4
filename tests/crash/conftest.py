"""Fixtures of the crash tests."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Explored:
    """The report of an exploration: where processes died, and what was wrong afterwards."""

    points: int
    died: dict[str, str]
    problems: list[str]


@pytest.fixture(scope="session")
def explorer() -> Iterator[Callable[..., Explored]]:
    """Explores crash points in warm processes: see `tests.crash.explore.Request` for the arguments."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.explore"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    requests, reports = server.stdin, server.stdout

    def explore(**request: Any) -> Explored:
        requests.write(json.dumps(request) + "\n")
        requests.flush()
        line = reports.readline()
        assert line, "the explorer has ended; see its stderr"
        return Explored(**json.loads(line))

    with server:
        yield explore
        requests.close()


@pytest.fixture
def explore(explorer: Callable[..., Explored], tmp_path: Path) -> Callable[..., Explored]:
    """As `explorer`, in a folder of this test."""

    def explore_here(**request: Any) -> Explored:
        return explorer(folder=str(tmp_path), **request)

    return explore_here
