"""Starts the demo as a user does, and finds its processes again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest


class Demo:
    """Starts the demo with a mark in its environment, by which its processes are found again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = f"HOLDFAST_TEST_MARK={uuid.uuid4().hex}"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        name, _, value = self._mark.partition("=")
        # A process started in the background ignores SIGINT, and so would its children.
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "cqrs.cli", "demo", *arguments],
                cwd=self._folder,
                env={**os.environ, name: value},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, previous)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def processes(self) -> list[int]:
        """Ids of the demo's processes that still run."""
        found: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue  # it ended meanwhile, or belongs to somebody else
        return found

    def ends(self) -> bool:
        """Tell whether all its processes end within a while."""
        deadline = time.monotonic() + 30
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="needs /proc to find processes"
)
