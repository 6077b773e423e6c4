"""Eight threads through one breaker at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from harness.environments import HOLDFAST
from harness.model import Case, Measure, Prepared, Target, settings

from .breakers import SYNC_MAKERS, work

THREADS = 8

NO_OP = Case(
    key="threads-noop",
    title="8 threads, no-op calls",
    what=(
        "Eight threads call `guarded(1)` through one circuit as fast as they can for a tenth of a second or "
        "more; calls per second by the wall clock, not pinned to a core. Floor: the bare function in eight "
        "threads, measured in the same round. The bare function does nothing at all, so this is the worst "
        "case of contention."
    ),
    unit="calls/s",
    pinned=False,
    rounds=15,
    targets=(
        Target("Holdfast, consecutive preset", "share", 0.10),
        Target("Holdfast, window policy", "share", 0.10),
    ),
)
IO = Case(
    key="threads-io",
    title="8 threads, calls that wait 1 ms",
    what=(
        "The same with `time.sleep(0.001)` in the guarded function: a breaker must not hold its lock while "
        "the call runs."
    ),
    unit="calls/s",
    pinned=False,
    rounds=15,
    targets=(
        Target("Holdfast, consecutive preset", "share", 0.99),
        Target("Holdfast, window policy", "share", 0.99),
    ),
)
CASES = (NO_OP, IO)


def wait(value: int) -> int:
    """A call that waits for something else."""
    time.sleep(0.001)
    return value


def _throughput(guarded: Callable[[int], int], chunk: int) -> Measure:
    """Calls per second of all threads together."""

    def measure() -> float:
        seconds = max(0.1, settings.seconds * 10)
        stop = threading.Event()
        barrier = threading.Barrier(THREADS + 1)
        counts = [0] * THREADS

        def run(index: int) -> None:
            call, done = guarded, 0
            barrier.wait()
            while not stop.is_set():
                for _ in range(chunk):
                    call(1)
                done += chunk
            counts[index] = done

        threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
        for thread in threads:
            thread.start()
        barrier.wait()
        began = time.perf_counter()
        time.sleep(seconds)
        stop.set()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)

    return measure


def _bare(function: Callable[[int], int], chunk: int) -> Callable[[], Prepared]:
    return lambda: Prepared(measure=_throughput(function, chunk))


def _guarded(
    label: str, maker: Callable[[], Any], function: Callable[[int], int], chunk: int
) -> Callable[[], Prepared]:
    def build() -> Prepared:
        breaker = maker()
        guarded = breaker(function)
        assert guarded(7) == 7
        if not label.startswith("Holdfast"):
            return Prepared(measure=_throughput(guarded, chunk))
        measure = _throughput(guarded, chunk)

        def exact(_: int) -> None:
            snapshot = breaker.snapshot()
            assert snapshot.admitted == snapshot.succeeded, f"lost: {snapshot}"

        return Prepared(measure=measure, verify=exact)

    return build


for _case, _function, _chunk in ((NO_OP, work, 500), (IO, wait, 1)):
    _case.add("floor: bare function, 8 threads", _bare(_function, _chunk), [HOLDFAST], floor=True)
    for _label, _maker in SYNC_MAKERS.items():
        _case.add(_label, _guarded(_label, _maker, _function, _chunk), [HOLDFAST])
