"""The store of shared circuits as a simulation knows it: its settings, its latency, its outages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.validation import seconds
from cqrs.exceptions import PolicyError

NAMESPACE = "simulation"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStore:
    """The store through which all processes share one circuit. Durations are seconds.

    Args:
        sync_interval, command_timeout, quorum, push: as for ``RedisStore``.
        latency: of a round trip, at the least; >= 0. Default 0.001.
        jitter: mean of what comes on top, as a share of ``latency`` (exponential: 1 % of the round trips take
            4.6 times that); >= 0. Default 0.5.
        service_time: seconds for which one command keeps the store from the next one; >= 0. Default 0: as
            many commands as anybody sends.
        outages: spans ``(start, end)``, in seconds of the scenario, in which nothing reaches the store; what
            is sent to it waits for its timeout.
        forgets: whether the store comes back empty from an outage.

    Raises:
        PolicyError: a value is out of range.

    >>> SharedStore(outages=[(30, 45.5)]).is_down(45.0)
    True
    """

    sync_interval: float = 1.0
    command_timeout: float = 0.05
    quorum: float = 0.5
    push: bool = True
    latency: float = 0.001
    jitter: float = 0.5
    service_time: float = 0.0
    outages: Sequence[tuple[float, float]] = ()
    forgets: bool = False
    settings: StoreSettings = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = StoreSettings(
            namespace=NAMESPACE,
            sync_interval=self.sync_interval,
            command_timeout=self.command_timeout,
            quorum=self.quorum,
            push=self.push,
        )
        object.__setattr__(self, "settings", settings)
        for name in ("latency", "jitter", "service_time"):
            object.__setattr__(self, name, seconds(f"SharedStore.{name}", getattr(self, name), strict=False))
        if not isinstance(self.forgets, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("SharedStore.forgets", self.forgets, "True or False")
        object.__setattr__(self, "outages", tuple(map(_span, self.outages)))

    def is_down(self, second: float) -> bool:
        """Return whether nothing reaches the store at this second of the scenario."""
        return any(start <= second < end for start, end in self.outages)


def _span(span: tuple[object, object]) -> tuple[float, float]:
    try:
        first, last = span
    except (TypeError, ValueError):
        raise PolicyError("each of SharedStore.outages", span, "a pair (start, end) of seconds") from None
    start = seconds("the start of an outage", first, strict=False)
    return start, seconds("the end of an outage", last, low=start)
