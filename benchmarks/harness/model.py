"""What a case, a subject and a target are."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

PEERS = (
    "aiobreaker",
    "blacksmith",
    "circuitbreaker",
    "diator",
    "interlock-cb",
    "purgatory",
    "pybreaker",
    "python-cqrs",
)
"""How labels of other libraries begin."""

Loop = Callable[[int], Awaitable[None] | None]
Measure = Callable[[], Awaitable[float] | float]


@dataclass(slots=True)
class Settings:
    """What the command line asks of a worker."""

    seconds: float = 0.02
    """Length of one sample; cases that measure by themselves scale with it."""


settings = Settings()


class Unavailable(Exception):
    """A subject that cannot run here, with the reason that the report prints."""


@dataclass(slots=True)
class Prepared:
    """One subject, built and checked, ready to be sampled.

    Either ``loop`` (runs the operation n times; the harness times it) or ``measure`` (returns the value
    itself, in the unit of the case) is set. What is awaitable runs in the event loop of the worker.
    """

    loop: Loop | None = None
    measure: Measure | None = None
    operations_per_iteration: int = 1
    samples: int | None = None
    """At most so many samples, for a subject that takes very long."""
    log_level: int = logging.WARNING
    """Level of the root logger during a sample."""
    library_log_level: int | None = logging.WARNING
    """Level of the logger ``cqrs``; None leaves it as the library set it at import."""
    verify: Callable[[int], None] | None = None
    """Called after the last sample with the number of operations run; raises when the work was not done."""
    close: Callable[[], Awaitable[None] | None] | None = None


Builder = Callable[[], Awaitable[Prepared] | Prepared]


@dataclass(frozen=True, slots=True)
class Subject:
    """One implementation of a case in one environment."""

    label: str
    environment: str
    build: Builder
    floor: bool = False

    @property
    def peer(self) -> bool:
        """Whether another library is measured."""
        return self.label.startswith(PEERS)

    async def prepare(self) -> Prepared:
        """Build the subject and run its self-check."""
        prepared = self.build()
        if inspect.isawaitable(prepared):
            prepared = await prepared
        return prepared


Metric = Literal[
    "ratio",
    "share",
    "above",
    "value",
    "least",
    "p99",
    "worst",
    "exactly",
    "speedup",
    "growth",
    "times",
    "fastest",
]
Group = Literal["core", "fleet", "http", "durable"]


@dataclass(frozen=True, slots=True)
class Target:
    """A promise about one subject of a case.

    Metrics: ``ratio`` value / floor, at most; ``share`` value / floor, at least; ``above`` value - floor, at
    most; ``value`` at most; ``least`` value, at least; ``p99`` and ``worst`` 99th percentile and largest
    value of all rounds, at most; ``exactly`` this value in all rounds; ``speedup`` overhead of ``against`` /
    own overhead, at least; ``growth`` and ``times`` value / value of ``against``, at most and at least;
    ``fastest`` less than every peer (``limit`` unused).
    """

    subject: str
    metric: Metric
    limit: float = 0.0
    against: str | None = None


@dataclass(slots=True)
class Case:
    """One question, the subjects that answer it, and what Holdfast promises."""

    key: str
    title: str
    what: str
    unit: str = "µs"
    """Unit of a value. Timed loops are reported in µs for one operation."""
    targets: tuple[Target, ...] = ()
    rounds: int | None = None
    """Rounds in a full run, when not the default."""
    pinned: bool = True
    group: Group = "core"
    """Part of the page: ``core``, ``fleet`` for many processes and a server, ``http`` for service clients,
    ``durable`` for sagas and the outbox."""
    shown_peers: tuple[str, ...] | None = None
    """Peers in the summary table; None shows all of them."""
    cannot: str = ""
    """Which peers cannot do it, and why."""
    subjects: list[Subject] = field(default_factory=list)

    def subject(self, label: str, *environments: str, floor: bool = False) -> Callable[[Builder], Builder]:
        """Register a builder as a subject, once for each environment."""

        def register(build: Builder) -> Builder:
            self.add(label, build, environments, floor=floor)
            return build

        return register

    def add(self, label: str, build: Builder, environments: Iterable[str], *, floor: bool = False) -> None:
        """Register a builder under a label in each of the environments."""
        for environment in environments:
            self.subjects.append(Subject(label, environment, build, floor))
