"""What happens to the upstream, when, and the time constants that follow from the length of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MIN_SECONDS = 4.0
DEFAULT_SECONDS = 24.0


class Kind(StrEnum):
    """A dependency of the shop: one upstream route, one circuit."""

    PRICE = "price"
    RECOMMENDATIONS = "recommendations"
    PAYMENT = "payment"
    CATALOGUE = "catalogue"
    SHIPMENT = "shipment"


#: Requests per second of each kind; a shipment follows each order as an event.
RATES: dict[Kind, float] = {
    Kind.PRICE: 20.0,
    Kind.RECOMMENDATIONS: 12.0,
    Kind.PAYMENT: 10.0,
    Kind.CATALOGUE: 6.0,
}

#: What a person reads for a kind: the message that crosses the guarded step.
LABELS: dict[Kind, str] = {
    Kind.PRICE: "price query",
    Kind.RECOMMENDATIONS: "recommendations",
    Kind.PAYMENT: "order command",
    Kind.CATALOGUE: "catalogue stream",
    Kind.SHIPMENT: "shipment event",
}


class Mode(StrEnum):
    """How the upstream behaves."""

    HEALTHY = "healthy"
    SLOW = "slow"
    FAILING = "failing"
    DEAD = "dead"


@dataclass(frozen=True)
class Phase:
    """A stretch of the schedule; ``says`` tells a person what happens in it."""

    name: str
    mode: Mode
    seconds: float
    says: str

    @property
    def in_trouble(self) -> bool:
        """Whether the upstream is not to be relied on in this phase."""
        return self.mode is not Mode.HEALTHY


@dataclass(frozen=True)
class Timing:
    """Every time constant of a run, derived from its length; all in seconds.

    A shorter run shortens waits and windows alike, down to floors that a busy machine can still keep.

    Raises:
        ValueError: ``seconds`` is below 4.

    >>> Timing(24.0).client_timeout, Timing(6.0).client_timeout
    (0.6, 0.3)
    """

    seconds: float = DEFAULT_SECONDS

    def __post_init__(self) -> None:
        if not self.seconds >= MIN_SECONDS:
            raise ValueError(
                f"seconds={self.seconds!r} is too short: the phases need at least {MIN_SECONDS:g}"
            )

    @property
    def client_timeout(self) -> float:
        """How long a call to the upstream may take before the shop gives up."""
        return min(max(self.seconds / 40, 0.3), 0.6)

    @property
    def slow_call(self) -> float:
        """Above this a call counts as slow."""
        return self.client_timeout / 2

    @property
    def slow_answers(self) -> tuple[float, float]:
        """The range of the upstream's answer times while it is slow: some exceed the client's timeout."""
        return (self.client_timeout * 0.6, self.client_timeout * 1.3)

    @property
    def window(self) -> float:
        """Length of the circuits' sliding window."""
        return min(max(self.seconds / 12, 1.0), 2.0)

    @property
    def max_wait(self) -> float:
        """The longest that a circuit stays open before it probes."""
        return self.seconds / 12

    @property
    def ramp(self) -> float:
        """How long traffic is let back in by degrees."""
        return self.seconds / 24

    def phases(self) -> tuple[Phase, ...]:
        """The upstream's life: healthy, slow, failing, dead, and healthy again."""
        low, high = self.slow_answers
        return (
            Phase("healthy", Mode.HEALTHY, self.seconds * 0.17, "the upstream answers in a few milliseconds"),
            Phase(
                "slow",
                Mode.SLOW,
                self.seconds * 0.18,
                f"the upstream takes {low * 1000:.0f}-{high * 1000:.0f} ms for an answer",
            ),
            Phase(
                "failing",
                Mode.FAILING,
                self.seconds * 0.18,
                "the upstream answers 503 or drops the connection",
            ),
            Phase(
                "dead", Mode.DEAD, self.seconds * 0.20, "the upstream was killed (SIGKILL); its port refuses"
            ),
            Phase(
                "recovered",
                Mode.HEALTHY,
                self.seconds * 0.27,
                "the upstream was restarted and is healthy again",
            ),
        )
