"""Calls in the background of a worker, and what came of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from cqrs.circuit_breaker import CircuitBreaker, CircuitOpenError


class Failed(Exception):
    """What a failing dependency raises."""


class Traffic:
    """Threads that call a circuit at a rate.

    Args:
        circuit: what is called.
        threads: how many.
        pause: seconds between two calls of a thread.
        outcome: "ok" or "fail", until ``turn``.
    """

    def __init__(
        self, circuit: CircuitBreaker, threads: int = 1, pause: float = 0.005, outcome: str = "ok"
    ) -> None:
        self._circuit = circuit
        self._pause = pause
        self._outcome = outcome
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self._threads.append(threading.Thread(target=self._watch_the_machine, daemon=True))
        self._counts: Counter[str] = Counter()
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._strange: list[str] = []
        self._longest = self._noise = 0.0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def turn(self, outcome: str) -> None:
        """From now on the dependency behaves so; counts begin anew."""
        with self._lock:
            self._outcome = outcome
            self._counts.clear()
            self._first.clear()
            self._last.clear()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def report(self) -> dict[str, Any]:
        """Counts, first and last moments (monotonic, the same clock in all processes) by what came of calls.

        ``longest`` is the longest time a call spent beside the dependency; ``noise`` how long this process
        had to wait for the processor, at worst: what no library can do anything about.
        """
        with self._lock:
            return {
                "counts": dict(self._counts),
                "first": dict(self._first),
                "last": dict(self._last),
                "strange": list(self._strange),
                "longest": self._longest,
                "noise": self._noise,
            }

    def _run(self) -> None:
        guarded = self._circuit(self._act)
        while not self._stopped.wait(self._pause):
            began = time.monotonic()
            try:
                guarded()
            except CircuitOpenError:
                what = "rejected"
            except Failed:
                what = "failed"
            except BaseException as error:  # never may anything else come out of a guarded call
                what = "strange"
                self._strange.append(repr(error))
            else:
                what = "ok"
            ended = time.monotonic()
            with self._lock:
                self._counts[what] += 1
                self._first.setdefault(what, ended)
                self._last[what] = ended
                self._longest = max(self._longest, ended - began)

    def _act(self) -> None:
        if self._outcome == "fail":
            raise Failed

    def _watch_the_machine(self) -> None:
        step = 0.005
        while not self._stopped.is_set():
            began = time.monotonic()
            self._stopped.wait(step)
            self._noise = max(self._noise, time.monotonic() - began - step)
