"""The library's breaker with its treatment of time repaired; imported only when the library is there.

The library computes with ``datetime.utcnow()``, which warns from Python 3.12 on (an exception for those who
turn warnings into errors: the circuit could neither open nor be asked), and compares the result with local
time, so that the time in its rejections is wrong or missing everywhere but in UTC. Nothing else is changed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

_library: Any = import_module("aiobreaker")
_state: Any = import_module("aiobreaker.state")

CircuitBreakerError: type[Exception] = _library.CircuitBreakerError
"""The library's rejection."""

_Breaker: Any = _library.CircuitBreaker
_Open: Any = _state.CircuitOpenState


class _OpenState(_Open):  # type: ignore[misc]  # the library is untyped
    def before_call(self, func: Any, *args: Any, **kwargs: Any) -> None:
        breaker: Any = self._breaker
        opened_at = _utc(breaker._state_storage.opened_at)
        # Without a time (lost by the storage) the circuit may be probed: it must not stay open for good.
        if opened_at is not None and datetime.now(UTC) < opened_at + breaker.timeout_duration:
            raise CircuitBreakerError(f"circuit {breaker.name!r} is open", breaker.opens_at)


class Circuit(_Breaker):  # type: ignore[misc]  # the library is untyped
    """One circuit of the library."""

    def open(self) -> None:
        """Open the circuit now."""
        storage: Any = self._state_storage
        # Storages expect naive UTC: the Redis one turns it into a whole number of seconds.
        storage.opened_at = datetime.now(UTC).replace(tzinfo=None)
        storage.state = _state.CircuitBreakerState.OPEN
        self.state = _state.CircuitBreakerState.OPEN

    @property
    def opens_at(self) -> datetime:
        """When the next probe may pass: naive local time, as the library's rejection computes with it."""
        opened_at = _utc(self._state_storage.opened_at) or datetime.now(UTC)
        timeout: timedelta = self.timeout_duration
        return (opened_at + timeout).astimezone().replace(tzinfo=None)

    def _create_new_state(self, new_state: Any, prev_state: Any = None, notify: bool = False) -> Any:
        if new_state is _state.CircuitBreakerState.OPEN:
            return _OpenState(self, prev_state=prev_state, notify=notify)
        library: Any = super()
        return library._create_new_state(new_state, prev_state=prev_state, notify=notify)


def _utc(stored: datetime | None) -> datetime | None:
    """Read a storage's time, which is UTC when it names no zone."""
    if stored is None:
        return None
    return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored
