"""The parts of a policy that say over what, for how long and how fast."""

from __future__ import annotations

from dataclasses import dataclass

from cqrs.circuit_breaker import validation
from cqrs.exceptions import PolicyError


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Outcomes of the last ``seconds``, in ``buckets`` equal steps.

    Args:
        seconds: length of the window in seconds; at least 1 ms per bucket.
        buckets: number of steps in which outcomes leave the window; 1 to 1000.
    """

    seconds: float = 30.0
    buckets: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", validation.seconds("TimeWindow.seconds", self.seconds))
        validation.count("TimeWindow.buckets", self.buckets, high=1000)
        if self.bucket_seconds < 0.001:
            raise PolicyError("TimeWindow.seconds", self.seconds, "at least 1 ms per bucket")

    @property
    def bucket_seconds(self) -> float:
        """Length of one bucket in seconds."""
        return self.seconds / self.buckets


@dataclass(frozen=True, slots=True)
class CountWindow:
    """The last ``size`` outcomes, however old; 1 to 1 000 000."""

    size: int = 100

    def __post_init__(self) -> None:
        validation.count("CountWindow.size", self.size, high=1_000_000)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long the circuit stays open the k-th time in a row.

    ``min(max, initial * multiplier**(k-1)) * (1 - U[0, jitter])``

    Args:
        initial: seconds of the first wait; > 0.
        multiplier: growth per further opening; >= 1.
        max: longest wait in seconds; >= initial.
        jitter: largest share taken off at random, so that a fleet does not probe in step; 0 to 1, 1 excluded.
    """

    initial: float = 5.0
    multiplier: float = 2.0
    max: float = 120.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", validation.seconds("Backoff.initial", self.initial))
        multiplier = validation.seconds("Backoff.multiplier", self.multiplier, low=1.0, strict=False)
        object.__setattr__(self, "multiplier", multiplier)
        object.__setattr__(self, "max", validation.seconds("Backoff.max", self.max))
        if self.max < self.initial:
            raise PolicyError("Backoff.max", self.max, f"at least Backoff.initial ({self.initial:g} s)")
        jitter = validation.ratio("Backoff.jitter", self.jitter, zero=True)
        if jitter >= 1:
            raise PolicyError("Backoff.jitter", self.jitter, "a number in [0, 1)")
        object.__setattr__(self, "jitter", jitter)

    def duration(self, streak: int, random: float) -> float:
        """Return the seconds of the ``streak``-th wait (from 1) for a ``random`` number in [0, 1).

        >>> [Backoff(5, 2, 15, jitter=0).duration(k, 0.5) for k in (1, 2, 3, 4000)]
        [5.0, 10.0, 15.0, 15.0]
        """
        base = self.initial
        if self.multiplier > 1.0:
            for _ in range(streak - 1):
                base *= self.multiplier
                if base >= self.max:
                    break
        return min(self.max, base) * (1.0 - self.jitter * random)


@dataclass(frozen=True, slots=True)
class Ramp:
    """How traffic returns after the probes agreed: from ``initial`` to all of it, linearly.

    Args:
        duration: seconds until everything is admitted; > 0.
        initial: share admitted at the start; in (0, 1].
    """

    duration: float = 10.0
    initial: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "duration", validation.seconds("Ramp.duration", self.duration))
        object.__setattr__(self, "initial", validation.ratio("Ramp.initial", self.initial))

    def share(self, elapsed: float) -> float:
        """Return the share admitted ``elapsed`` seconds after the start.

        >>> [Ramp(10, 0.5).share(t) for t in (-1, 0, 5, 10, 99)]
        [0.5, 0.5, 0.75, 1.0, 1.0]
        """
        if elapsed >= self.duration:
            return 1.0
        return self.initial + (1.0 - self.initial) * max(0.0, elapsed) / self.duration
