"""What a run may vary, and every time constant of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Server: TypeAlias = Literal["uvicorn", "hypercorn"]

MIN_SECONDS, DEFAULT_SECONDS = 6.0, 12.0
MAX_PROCESSES = 8


@dataclass(frozen=True)
class Plan:
    """The settings of a run; all times in seconds.

    Args:
        seconds: about how long it takes; at least 6. Acts end when what they are about has happened.
        processes: how many processes of ``notif`` there are, 1 to 8.
        server: what serves them.
        seed: seed of the load.
        fallback: whether ``notif`` queues what it cannot deliver; ``False`` breaks guarantees.

    Raises:
        ValueError: a value is out of range.
    """

    seconds: float = DEFAULT_SECONDS
    processes: int = 2
    server: Server = "uvicorn"
    seed: int = 1
    fallback: bool = True

    def __post_init__(self) -> None:
        if not self.seconds >= MIN_SECONDS:
            raise ValueError(f"seconds={self.seconds!r} is too short: the acts need at least {MIN_SECONDS:g}")
        if not 1 <= self.processes <= MAX_PROCESSES:
            raise ValueError(f"{self.processes} is not a number of processes from 1 to {MAX_PROCESSES}")

    @property
    def rate(self) -> float:
        """Requests per second, of all processes together."""
        return 12.0 * self.processes + 8.0

    @property
    def most_at_once(self) -> int:
        """Requests that may wait for their answers at the same moment."""
        return 64

    @property
    def calm(self) -> float:
        """How long the healthy act lasts, and the time after the recovery."""
        return self.seconds * 0.15

    @property
    def outage(self) -> float:
        """How long the circuit is kept open."""
        return self.seconds * 0.45

    @property
    def threshold(self) -> int:
        """Failures in a row that open the circuit."""
        return 3

    @property
    def ttl(self) -> float:
        """How long it stays open before somebody probes."""
        return 2.0 if self.seconds >= DEFAULT_SECONDS else 1.0

    @property
    def timeout(self) -> float:
        """How long a lookup may take before ``notif`` gives up."""
        return 1.0

    @property
    def retry_interval(self) -> float:
        """Time between attempts of the outbox while the circuit is closed."""
        return 0.2

    @property
    def patience(self) -> float:
        """How long an act waits for what should happen in it; then the verdict says that it did not."""
        return 6.0 + 2 * self.ttl + self.timeout
