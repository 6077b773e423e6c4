"""What happens to a dependency, and who calls it: the input of a simulation, as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cqrs.circuit_breaker.validation import count, ratio, seconds
from cqrs.exceptions import ConfigurationTypeError, PolicyError

_Z99 = 2.3263478740408408  # 99th percentile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class ResponseTime:
    """How long the dependency works on a call, log-normal, in seconds.

    Args:
        median: half of the calls are quicker; > 0.
        p99: 1 % of the calls are slower; >= ``median``; ``None``: every call takes exactly ``median``.

    Raises:
        PolicyError: a value is out of range.

    >>> ResponseTime(0.02, p99=0.2).draw(0.0)
    0.02
    """

    median: float
    p99: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "median", seconds("ResponseTime.median", self.median))
        if self.p99 is not None:
            object.__setattr__(self, "p99", seconds("ResponseTime.p99", self.p99))
            if self.p99 < self.median:
                raise PolicyError("ResponseTime.p99", self.p99, f"at least the median ({self.median:g} s)")

    def draw(self, z: float) -> float:
        """Return the seconds of a call whose luck is ``z``, a standard normal number."""
        if self.p99 is None:
            return self.median
        return self.median * math.exp(math.log(self.p99 / self.median) / _Z99 * z)


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many calls the dependency can begin per second, and the queue in front of it.

    All figures are per calling process, so that a scenario means the same for 10 processes and for 1 000.
    A call whose caller has given up keeps its place in the queue and is worked on all the same, as in most
    servers.

    Args:
        calls_per_second: calls begun per second and process when warm; > 0.
        max_queue: calls that may wait, per process; any more are refused at once; > 0.
        cold: ``calls_per_second`` at the beginning of the phase (cold caches, few workers); > 0, at most
            ``calls_per_second``; ``None``: warm from the beginning.
        warm_up_calls: answers, per process, that make a cold dependency warm; > 0. Only an answer that
            somebody still waited for counts.
        cool_down: seconds without any answer that make a warm dependency as cold as at the beginning (caches
            expire, workers are taken away); > 0, or ``None``: what is warm stays so.

    Raises:
        PolicyError: a value is out of range.
    """

    calls_per_second: float
    max_queue: float = 10.0
    cold: float | None = None
    warm_up_calls: float = 10.0
    cool_down: float | None = None

    def __post_init__(self) -> None:
        _positive("Capacity.calls_per_second", self.calls_per_second)
        _positive("Capacity.max_queue", self.max_queue)
        _positive("Capacity.warm_up_calls", self.warm_up_calls)
        if self.cool_down is not None:
            seconds("Capacity.cool_down", self.cool_down)
        if self.cold is not None:
            _positive("Capacity.cold", self.cold)
            if self.cold > self.calls_per_second:
                legal = f"at most calls_per_second ({self.calls_per_second:g})"
                raise PolicyError("Capacity.cold", self.cold, legal)


@dataclass(frozen=True, slots=True)
class NodeFault:
    """Some processes fail by themselves, for example by a broken network, while the dependency is well.

    Args:
        share: share of the processes that have the fault, rounded up to whole ones; in (0, 1].
        error_rate: share of their calls that fail; in (0, 1].
        load: factor on the number of their calls; > 0. Failures are quick, and callers come back.

    Raises:
        PolicyError: a value is out of range.
    """

    share: float
    error_rate: float = 1.0
    load: float = 1.0

    def __post_init__(self) -> None:
        ratio("NodeFault.share", self.share)
        ratio("NodeFault.error_rate", self.error_rate)
        _positive("NodeFault.load", self.load)

    def count(self, processes: int) -> int:
        """Return how many of the processes have the fault: the first ones.

        >>> NodeFault(0.07).count(100), NodeFault(0.01).count(10)
        (7, 1)
        """
        return math.ceil(round(self.share * processes, 6))  # 0.07 * 100 is a little more than 7


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time in which the dependency behaves alike.

    Args:
        name: what tables and plots call it.
        duration: seconds; > 0.
        response_time: how long it works on a call.
        error_rate: share of the calls that end in ``error`` after their response time; 0 to 1.
        healthy: whether calls *should* pass. Calls sent in an unhealthy phase are *leaked*, calls
            rejected in a healthy one *needless rejections*.
        load: factor on the scenario's ``calls_per_second``; > 0.
        capacity: ``None``: as much as anybody asks for.
        node_fault: processes that fail by themselves; for those the phase is unhealthy.
        error: class of the exceptions, for policies that look at it (``record``, ``ignore``, ``classify``).

    Raises:
        PolicyError: a value is out of range.
        ConfigurationTypeError: a part is of the wrong kind.
    """

    name: str
    duration: float
    response_time: ResponseTime = field(default_factory=lambda: ResponseTime(0.02, p99=0.1))
    error_rate: float = 0.0
    healthy: bool = True
    load: float = 1.0
    capacity: Capacity | None = None
    node_fault: NodeFault | None = None
    error: type[Exception] = ConnectionError

    def __post_init__(self) -> None:
        _kind("Phase.name", self.name, str)
        object.__setattr__(self, "duration", seconds("Phase.duration", self.duration))
        _kind("Phase.response_time", self.response_time, ResponseTime)
        ratio("Phase.error_rate", self.error_rate, zero=True)
        _kind("Phase.healthy", self.healthy, bool)
        _positive("Phase.load", self.load)
        _kind("Phase.capacity", self.capacity, (Capacity, type(None)))
        _kind("Phase.node_fault", self.node_fault, (NodeFault, type(None)))
        if not (isinstance(self.error, type) and issubclass(self.error, Exception)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"Phase.error must be a class of exceptions, got {self.error!r}")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Phases of a dependency, one after the other, and how each process calls it.

    Args:
        phases: at least one.
        name: what tables and plots call it.
        calls_per_second: mean of each process, independent of each other and of what came before (Poisson);
            > 0. Default 2.
        timeout: seconds after which the client gives up by itself: a ``TimeoutError`` inside of the
            guarded call. > 0, or ``None``. Default 1.
        deadline: seconds after which the *caller* of the guarded call goes away, which cancels it; > 0, or
            ``None``.

    Raises:
        PolicyError: a value is out of range.
        ConfigurationTypeError: a phase is no ``Phase``.

    >>> Scenario([Phase("fine", 10.0), Phase("down", 20.0, error_rate=1.0, healthy=False)]).duration
    30.0
    """

    phases: Sequence[Phase]
    name: str = "own"
    calls_per_second: float = 2.0
    timeout: float | None = 1.0
    deadline: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", tuple(self.phases))
        count("the number of phases", len(self.phases))
        for phase in self.phases:
            _kind("each phase", phase, Phase)
        _kind("Scenario.name", self.name, str)
        _positive("Scenario.calls_per_second", self.calls_per_second)
        for name in ("timeout", "deadline"):
            if getattr(self, name) is not None:
                seconds(f"Scenario.{name}", getattr(self, name))

    @property
    def duration(self) -> float:
        """Seconds of all phases together."""
        return sum(phase.duration for phase in self.phases)

    @property
    def starts(self) -> tuple[float, ...]:
        """Second at which each phase begins."""
        return tuple(
            sum(phase.duration for phase in self.phases[:index]) for index in range(len(self.phases))
        )


def _positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise PolicyError(name, value, "a finite number > 0")


def _kind(name: str, value: object, kind: type | tuple[type, ...]) -> None:
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join("None" if one is type(None) else one.__name__ for one in kinds)
        raise ConfigurationTypeError(f"{name} must be of type {wanted}, got {value!r}")
