"""What a :class:`~cqrs.testing.ChaosProxy` can do to a connection, as values: no sockets, no time."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeVar, get_args

Way = Literal["up", "down"]
Direction = Literal["up", "down", "both"]

UNIX_PATH_LIMIT = 107 if sys.platform == "linux" else 103

WAYS: tuple[Way, Way] = ("up", "down")

FaultT = TypeVar("FaultT", bound="NetworkFault")


class ActiveFault:
    """A fault in force until it is healed; as a context manager, until the end of the block."""

    def __init__(self, heal: Callable[[], None]) -> None:
        self._heal = heal

    def heal(self) -> None:
        """End this fault and no other; does nothing when it has ended already."""
        self._heal()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()


@dataclass(eq=False, kw_only=True)
class NetworkFault:
    """One fault; compared by identity, because the same fault may be set twice."""

    direction: Direction = "both"

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise ValueError(f"direction must be 'up', 'down' or 'both', not {self.direction!r}")


@dataclass(eq=False, kw_only=True)
class LatencyFault(NetworkFault):
    """Everything arrives ``seconds`` later, give or take ``jitter``."""

    seconds: float
    jitter: float
    random: Callable[[], float]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_seconds("seconds", self.seconds)
        check_seconds("jitter", self.jitter)
        if not callable(self.random):
            raise TypeError(f"random must be a function, not {self.random!r}")
        if self.jitter > self.seconds:
            raise ValueError(
                f"jitter must be at most the latency of {self.seconds} seconds, not {self.jitter}: "
                "data cannot arrive before it was sent"
            )

    def draw(self) -> float:
        """Choose the delay of one piece of data."""
        return self.seconds + self.jitter * (2 * self.random() - 1) if self.jitter else self.seconds


@dataclass(eq=False, kw_only=True)
class BlackHole(NetworkFault):
    """Everything is swallowed, the end of the stream included."""


@dataclass(eq=False, kw_only=True)
class Refusal(NetworkFault):
    """The port refuses new connections."""


@dataclass(eq=False, kw_only=True)
class DroppedReplies(NetworkFault):
    """The next ``remaining`` connections on which the server answers fall silent; None: all."""

    remaining: int | None
    direction: Direction = "down"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.remaining is not None:
            check_count("count", self.remaining, at_least=1)

    def take(self) -> bool:
        """Tell whether a connection that the server answers on now falls silent, and count it."""
        if self.remaining is None:
            return True
        self.remaining -= 1
        return self.remaining >= 0


@dataclass(eq=False, kw_only=True)
class CutAfter(NetworkFault):
    """A connection is reset once ``after_bytes`` have passed."""

    after_bytes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("after_bytes", self.after_bytes, at_least=0)


@dataclass(eq=False, kw_only=True)
class Bandwidth(NetworkFault):
    """A connection carries ``bytes_per_second``."""

    bytes_per_second: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_seconds("bytes_per_second", self.bytes_per_second)
        if self.bytes_per_second == 0:
            raise ValueError("bytes_per_second must be more than 0; black_hole() lets nothing through")


@dataclass(eq=False, kw_only=True)
class Slicing(NetworkFault):
    """Data is passed on in pieces of ``size`` bytes at most, with ``pause`` seconds between them."""

    size: int
    pause: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("size", self.size, at_least=1)
        check_seconds("pause", self.pause)


@dataclass(frozen=True)
class Conditions:
    """What is in force one way; of several faults of a kind it is the one set last."""

    latency: LatencyFault | None = None
    black_hole: BlackHole | None = None
    dropped_replies: DroppedReplies | None = None
    cut: CutAfter | None = None
    bandwidth: Bandwidth | None = None
    slicing: Slicing | None = None

    @classmethod
    def of(cls, faults: Sequence[NetworkFault], way: Way) -> Conditions:
        """Choose from ``faults``, oldest first, what is in force ``way``."""
        here = [fault for fault in faults if fault.direction in (way, "both")]
        return cls(
            latency=_last(here, LatencyFault),
            black_hole=_last(here, BlackHole),
            dropped_replies=_last(here, DroppedReplies),
            cut=_last(here, CutAfter),
            bandwidth=_last(here, Bandwidth),
            slicing=_last(here, Slicing),
        )


def _last(faults: Sequence[NetworkFault], kind: type[FaultT]) -> FaultT | None:
    return next((fault for fault in reversed(faults) if isinstance(fault, kind)), None)


def check_seconds(name: str, value: object) -> None:
    """Refuse what is not a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be finite and at least 0, not {value}")


def check_count(name: str, value: object, *, at_least: int) -> None:
    """Refuse what is not a whole number of at least ``at_least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {value}")


def check_unix_path(path: str) -> None:
    """Refuse what cannot name a unix socket."""
    if not path:
        raise ValueError("unix_path must not be empty")
    length = len(os.fsencode(path))
    if length > UNIX_PATH_LIMIT:
        raise ValueError(f"unix_path is too long: {length} bytes, where the system takes {UNIX_PATH_LIMIT}")
