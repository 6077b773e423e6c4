"""The rejection of a circuit breaker."""

from __future__ import annotations

from typing import Any

from cqrs.exceptions import CqrsError


class CircuitOpenError(CqrsError):
    """The circuit breaker did not let the call through; the protected function was not called.

    Every rejection is a fresh instance; it can be pickled.

    Attributes:
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
        self.name = name
        self.state = state
        self.reason = reason
        self.retry_after = retry_after
        self.last_failure = last_failure
        self.source = source
        self.epoch = epoch

    def __str__(self) -> str:
        text = f"circuit {self.name!r} is {self.state.replace('_', ' ')}"
        if self.reason:
            text += f" ({self.reason})"
        if self.last_failure:
            text += f"; last failure: {self.last_failure}"
        if self.retry_after is not None:
            text += f"; retry after {self.retry_after:.3g} s"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (
            self.name,
            self.state,
            self.reason,
            self.retry_after,
            self.last_failure,
            self.source,
            self.epoch,
        )
        return type(self), fields
