"""All mutants of some files against some tests, by one or two workers."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tools.mutation.mutant import Mutant
from tools.mutation.runner import MutationError, Outcome, Runner

LEAST_LIMIT = 10.0
LIMIT_FACTOR = 3.0
BASELINE_LIMIT = 600.0
FIRST_TESTS = 40
BROKEN = "this is broken altogether\n"  # in Lua as in Python


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    outcome: Outcome

    @property
    def survived(self) -> bool:
        return self.outcome.result == "passed"


class Campaign:
    """Runs the tests without a mutant once, then with each mutant.

    Args:
        runners: One for each worker.
        sources: The unchanged text of each file that mutants change, by path.
        limit: Seconds after which a mutant has hung; None: three times what the tests take, at least 10 s.
        tell: Called with every verdict as it comes, from any worker's thread.
    """

    def __init__(
        self,
        runners: Sequence[Runner],
        sources: Mapping[str, str],
        limit: float | None = None,
        tell: Callable[[Verdict], None] = lambda verdict: None,
    ) -> None:
        self._runners = runners
        self._sources = sources
        self._limit = limit
        self._tell = tell
        self._killers: Counter[str] = Counter()
        self._durations: dict[str, float] = {}
        self._lock = threading.Lock()

    def baseline(self) -> float:
        """Run the tests as they are; returns the seconds they take.

        Raises:
            MutationError: they fail, or pass without a file, so that mutants would say nothing.
        """
        outcome = self._runners[0].run({}, self._limit or BASELINE_LIMIT)
        if outcome.result != "passed":
            raise MutationError(
                f"the tests do not pass without a mutant ({outcome.result} {outcome.failed}):\n"
                f"{self._runners[0].log}"
            )
        self._durations = dict(outcome.durations)
        if self._limit is None:
            self._limit = max(LEAST_LIMIT, LIMIT_FACTOR * outcome.seconds)
        for path in self._sources:
            if self._runners[0].run({path: BROKEN}, self._limit).result == "passed":
                raise MutationError(
                    f"the tests pass although {path} is broken altogether: they do not run it"
                )
        return outcome.seconds

    def run(self, mutants: Sequence[Mutant]) -> list[Verdict]:
        """Run the tests with each mutant; returns the verdicts in the order of the mutants."""
        work: queue.SimpleQueue[tuple[int, Mutant]] = queue.SimpleQueue()
        for numbered in enumerate(mutants):
            work.put(numbered)
        verdicts: dict[int, Verdict] = {}
        errors: list[BaseException] = []

        def serve(runner: Runner) -> None:
            try:
                while not errors:
                    try:
                        number, mutant = work.get_nowait()
                    except queue.Empty:
                        return
                    verdicts[number] = self._judge(runner, mutant)
                    self._tell(verdicts[number])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=serve, args=(runner,), daemon=True) for runner in self._runners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return [verdicts[number] for number in sorted(verdicts)]

    def _judge(self, runner: Runner, mutant: Mutant) -> Verdict:
        assert self._limit is not None, "the baseline comes first"
        with self._lock:
            first = [name for name, _ in self._killers.most_common(FIRST_TESTS)]
        changed = {mutant.path: mutant.apply(self._sources[mutant.path])}
        outcome = runner.run(changed, self._limit, first, self._durations)
        if outcome.failed:
            with self._lock:
                self._killers[outcome.failed] += 1
        return Verdict(mutant, outcome)


class Clock:
    """Says how long is left, from how long it took so far."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begin = time.monotonic()

    def left(self, done: int) -> float:
        """Return the expected seconds until all are done."""
        spent = time.monotonic() - self._begin
        return spent / max(1, done) * (self._total - done)


__all__ = ["Campaign", "Clock", "MutationError", "Verdict"]
