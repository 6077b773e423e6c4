"""Experiments that yield several figures at once, and subjects that play on a stage of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from harness.environments import FLEET
from harness.model import Builder, Case, Prepared, Unavailable

from .libraries import PEERS
from .stage import OrderFailed, Stage, full

Figures = dict[str, float]
Run = Callable[[], Figures]


class Experiment:
    """Runs once for each round, whichever of its figures is asked for first.

    Args:
        label: the library that is measured.
        prepare: returns a stage, and what to run on it once for each round.
        rounds: at most so many, for what takes long.
    """

    def __init__(
        self, label: str, prepare: Callable[[], tuple[Stage, Run]], rounds: int | None = None
    ) -> None:
        self.label = label
        self._prepare = prepare
        self._rounds = rounds
        self._stage: Stage | None = None
        self._run: Run | None = None
        self._failure: Exception | None = None
        self._waiting: defaultdict[str, list[float]] = defaultdict(list)

    def add(
        self, case: Case, label: str, figure: str = "", *, floor: bool = False, library: str = ""
    ) -> None:
        """Register a figure of the experiment as a subject of a case; all figures belong to one case.

        Args:
            library: whose figure it is, when several play together.
        """
        self._waiting[figure] = []
        case.add(label, self._builder(figure, library), [FLEET], floor=floor)

    def _builder(self, figure: str, library: str) -> Builder:
        def measure() -> float:
            if self._failure is not None:
                raise self._failure  # once is enough: the stage may be in any state
            if not self._waiting[figure]:
                self._play()
            return self._waiting[figure].pop(0)

        def build() -> Prepared:
            if self._run is None:
                with peers_may_fail(self.label):
                    self._stage, self._run = self._prepare()
            if self._stage is not None and library in self._stage.missing:
                raise Unavailable(self._stage.missing[library])
            return Prepared(measure=measure, samples=self._rounds, close=self._close)

        return build

    def _play(self) -> None:
        assert self._run is not None
        try:
            figures = self._run()
        except Exception as error:
            self._failure = error
            raise
        for name, value in figures.items():
            if name in self._waiting:  # a figure that nobody asks for is not kept
                self._waiting[name].append(value)

    def _close(self) -> None:
        stage, self._stage, self._run, self._failure = self._stage, None, None, None
        for waiting in self._waiting.values():
            waiting.clear()
        if stage is not None:
            stage.close()


@contextmanager
def peers_may_fail(label: str) -> Iterator[None]:
    """A peer that cannot do what a case asks for is left out, and the report says how it fails."""
    try:
        yield
    except OrderFailed as error:
        if label in PEERS:
            raise Unavailable(error.reason) from error
        raise


def on_stage(stage: Stage, prepare: Callable[[Stage], Run]) -> tuple[Stage, Run]:
    """Prepare on a stage that is closed when that fails."""
    try:
        return stage, prepare(stage)
    except BaseException:
        stage.close()
        raise


def single(run: Callable[[], float]) -> Run:
    """An experiment with one figure."""
    return lambda: {"": run()}


Number = TypeVar("Number", int, float)


def amount(wanted: Number, little: Number) -> Number:
    """So many, or so long, in a run whose figures count; else a little."""
    return wanted if full() else little
