"""A server's wall clock that a test sets: forward or back, while the server runs."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.servers.binaries import ServerMissing

SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """A library that is loaded before libc, and the file out of which it reads how far the clock is off.

    Only the wall clock is moved (TIME, expiry of keys), as by somebody who sets it; the clock that intervals
    are measured with goes on.

    Raises:
        ServerMissing: there is no C compiler, or this is not Linux.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None or sys.platform != "linux":
            raise ServerMissing("no server with a clock that can be set: needs Linux and a C compiler (gcc)")
        library = folder / "clock.so"
        self._file = folder / "clock"
        self.set(0.0)
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)], check=True)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "HOLDFAST_CLOCK_FILE": str(self._file),
        }

    def set(self, offset: float) -> None:
        """Let the clock go ``offset`` seconds before (negative: behind) the true time, from now on."""
        # Written in place, since the server has mapped it into its memory; eight bytes are written at once.
        with self._file.open("r+b" if self._file.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("=q", round(offset * 1_000_000)))
