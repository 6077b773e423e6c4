"""The settings of a relay, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError

__all__ = ["RelaySettings", "checked_lease", "checked_topics"]


@dataclasses.dataclass(frozen=True, slots=True)
class RelaySettings:
    """What ``OutboxRelay`` is told; see there.

    Raises:
        PolicyError: a number is out of range.
        ConfigurationTypeError: a field is of the wrong kind.
        ConfigurationError: two fields contradict each other.
    """

    batch_size: int
    poll_interval: float
    max_poll_interval: float
    lease_seconds: float
    max_attempts: int
    backoff: Backoff
    pause: Backoff
    topics: tuple[str, ...] | None
    concurrency: int
    send_timeout: float
    validate: bool

    def __post_init__(self) -> None:
        validation.count("batch_size", self.batch_size, high=10_000)
        for name in ("poll_interval", "max_poll_interval", "lease_seconds", "send_timeout"):
            object.__setattr__(self, name, validation.seconds(name, getattr(self, name)))
        validation.count("max_attempts", self.max_attempts, high=32_767)
        validation.count("concurrency", self.concurrency, high=1000)
        if self.max_poll_interval < self.poll_interval:
            raise ConfigurationError(
                f"max_poll_interval ({self.max_poll_interval:g} s) is shorter than "
                f"poll_interval ({self.poll_interval:g} s)"
            )
        if self.send_timeout >= self.lease_seconds:
            raise ConfigurationError(
                f"send_timeout ({self.send_timeout:g} s) must be shorter than lease_seconds "
                f"({self.lease_seconds:g} s): else a message is sent by two relays at once"
            )
        for name in ("backoff", "pause"):
            if not isinstance(getattr(self, name), Backoff):
                raise ConfigurationTypeError(f"{name} must be a Backoff, not {getattr(self, name)!r}")


def checked_topics(topics: Any) -> tuple[str, ...] | None:
    """Return topics without duplicates, sorted.

    Raises:
        ConfigurationTypeError: they are not a non-empty collection of texts.
    """
    if topics is None:
        return None
    found: list[Any] = (
        [] if isinstance(topics, (str, bytes)) or not isinstance(topics, Iterable) else [*topics]
    )
    if not found or not all(isinstance(topic, str) for topic in found):
        raise ConfigurationTypeError(f"topics must be some texts, or None for all topics, not {topics!r}")
    return tuple(sorted(set(found)))


def checked_lease(lease_seconds: Any, send_timeout: Any) -> tuple[float, float]:
    """Return both in seconds; the default of ``send_timeout`` is a third of the lease."""
    lease = validation.seconds("lease_seconds", lease_seconds)
    if send_timeout is None:
        return lease, lease / 3
    return lease, validation.seconds("send_timeout", send_timeout)
