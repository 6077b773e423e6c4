"""What a run may vary, and every time constant of it."""

from __future__ import annotations

from dataclasses import dataclass

from cqrs.circuit_breaker import Backoff, CircuitBreakerPolicy, Ramp, TimeWindow
from cqrs.demo.client import UPSTREAM_FAILURES

MIN_PROCESSES, MAX_PROCESSES = 2, 8
NAMESPACE = "holdfast-demo"


@dataclass(frozen=True)
class Plan:
    """The settings of a run; all times in seconds.

    Args:
        processes: how many processes the shop has, 2 to 8.
        fast: a shorter run, for tests.
        seed: seed of the load.
        shared: whether the processes share the circuit; ``False`` breaks guarantees.
        fallback: whether the shop has one; ``False`` breaks guarantees.

    Raises:
        ValueError: ``processes`` is out of range.
    """

    processes: int = 3
    fast: bool = False
    seed: int = 1
    shared: bool = True
    fallback: bool = True

    def __post_init__(self) -> None:
        if not MIN_PROCESSES <= self.processes <= MAX_PROCESSES:
            raise ValueError(f"{self.processes} is not a number from {MIN_PROCESSES} to {MAX_PROCESSES}")

    @property
    def rate(self) -> float:
        """Requests per second, of all processes together."""
        return 14.0 * self.processes

    @property
    def seconds(self) -> float:
        """About how long a run takes; acts end when what they are about has happened."""
        return 14.0 if self.fast else 30.0

    @property
    def calm(self) -> float:
        """How long nothing happens between two acts."""
        return 1.0 if self.fast else 3.0

    @property
    def client_timeout(self) -> float:
        """How long a call to the upstream may take before the shop gives up."""
        return 0.6

    @property
    def hanging(self) -> tuple[float, float]:
        """The range of the upstream's answer times while it hangs: no client waits that long."""
        return (3 * self.client_timeout, 4 * self.client_timeout)

    @property
    def sync_interval(self) -> float:
        """Time between two routine exchanges of a process with the store."""
        return 0.3 if self.fast else 0.5

    @property
    def lease(self) -> float:
        """How long the probe of a dead process blocks the others."""
        return 1.0 if self.fast else 1.5

    @property
    def wait(self) -> Backoff:
        """How long the circuit stays open."""
        return Backoff(0.6, 1.5, 1.0, jitter=0.2) if self.fast else Backoff(1.0, 1.5, 2.0, jitter=0.2)

    @property
    def failures(self) -> int:
        """Failures in a row, in whichever process, that open the circuit."""
        return 6

    @property
    def patience(self) -> float:
        """How long an act waits for what should happen in it; then the verdict says that it did not."""
        return 3.0 + 2 * self.wait.max + self.lease

    def policy(self) -> CircuitBreakerPolicy:
        """The policy of the shared circuit."""
        return CircuitBreakerPolicy(
            sliding_window=TimeWindow(2.0, buckets=10),
            minimum_number_of_calls=10,
            consecutive_failures=self.failures,
            wait_duration_in_open=self.wait,
            permitted_calls_in_half_open=2,
            max_concurrent_probes=1,
            permit_lease=self.lease,
            recovery_ramp=Ramp(0.5 if self.fast else 1.0, 0.25),
            record=UPSTREAM_FAILURES,
        )
