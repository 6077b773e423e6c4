"""The rejection of a circuit breaker."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

from cqrs.exceptions import CqrsError


class CircuitOpenError(CqrsError):
    """The circuit breaker did not let the call through; the protected function was not called.

    Every rejection is a fresh instance; it can be pickled. An open circuit raises many of these, so
    all fields live in ``args`` and are read from there.

    Args:
        name: name of the circuit.
        state: exported state at the rejection: ``"open"``, ``"half_open"`` or ``"forced_open"``.
        reason: why the circuit is in that state.
        retry_after: seconds until a call may be admitted again, at least 0; ``None`` when unknown.
        last_failure: summary (``"Type: message"``) of the failure that opened the circuit, if known.
        source: ``"local"``, ``"parent"`` or ``"fleet"``: which machine rejected.
        epoch: era of the circuit at the rejection.
    """

    def __init__(
        self,
        name: str,
        state: str = "open",
        reason: str = "",
        retry_after: float | None = None,
        last_failure: str | None = None,
        source: str = "local",
        epoch: int = 0,
    ) -> None:
        self.args = (name, state, reason, retry_after, last_failure, source, epoch)

    @property
    def name(self) -> str:
        """Name of the circuit."""
        return self._fields[0]

    @property
    def state(self) -> str:
        """State at the rejection: ``"open"``, ``"half_open"`` or ``"forced_open"``."""
        return self._fields[1]

    @property
    def reason(self) -> str:
        """Why the circuit is in that state."""
        return self._fields[2]

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be admitted again, at least 0; ``None`` when unknown."""
        return self._fields[3]

    @property
    def last_failure(self) -> str | None:
        """Summary of the failure that opened the circuit, if known."""
        return self._fields[4]

    @property
    def source(self) -> str:
        """Which machine rejected: ``"local"``, ``"parent"`` or ``"fleet"``."""
        return self._fields[5]

    @property
    def epoch(self) -> int:
        """Era of the circuit at the rejection."""
        return self._fields[6]

    @property
    def _fields(self) -> tuple[str, str, str, float | None, str | None, str, int]:
        return cast("tuple[str, str, str, float | None, str | None, str, int]", self.args)

    def __str__(self) -> str:
        name, state, reason, retry_after, last_failure, _, _ = self._fields
        text = f"circuit {name!r} is {state.replace('_', ' ')}"
        if reason:
            text += f" ({reason})"
        if last_failure:
            text += f"; last failure: {last_failure}"
        if retry_after is not None:
            text += f"; retry after {retry_after:.3g} s"
        return text


quick_rejection: Callable[..., CircuitOpenError] = functools.partial(
    CircuitOpenError.__new__, CircuitOpenError
)
"""Return an error from all its fields in order, without the cost of ``__init__``."""


class StoreError(CqrsError):
    """Something about the store that shares circuits; never raised into a guarded call."""


class StoreUnavailableError(StoreError):
    """The store did not answer, or refused.

    Args:
        store: which store: its kind, address and namespace, without a password.
        reason: what failed.
    """

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(store, reason)
        self.store = store
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.store}: {self.reason}"
