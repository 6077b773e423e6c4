"""What a circuit did, as a list that a test can state in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from cqrs.circuit_breaker import StateChanged


class TransitionRecorder:
    """A listener that keeps every state change, in order.

    Add it inline, so that a change is recorded before the call that caused it returns:
    ``breaker.add_listener(recorder, inline=True)``.

    Attributes:
        changes: the recorded ``StateChanged`` events.
    """

    def __init__(self) -> None:
        self.changes: list[StateChanged] = []
        self._lock = threading.Lock()

    def __call__(self, event: object) -> None:
        """Record ``event`` if it is a state change; other events pass by."""
        if isinstance(event, StateChanged):
            with self._lock:
                self.changes.append(event)

    def trace(self, name: str | None = None) -> list[str]:
        """Return the changes as ``"closed -> open"`` strings, of one circuit or of all."""
        with self._lock:
            changes = [change for change in self.changes if name is None or change.name == name]
        return [f"{change.from_state.value} -> {change.to_state.value}" for change in changes]

    def clear(self) -> None:
        """Forget everything recorded so far."""
        with self._lock:
            self.changes.clear()


def assert_trace(recorder: TransitionRecorder, expected: Iterable[str], *, name: str | None = None) -> None:
    """Assert that exactly the ``expected`` state changes were recorded, in this order.

    Args:
        recorder: the listener that saw them.
        expected: changes as ``"closed -> open"``.
        name: look at this circuit only; default: at all of them.

    Raises:
        AssertionError: they differ; the message shows each recorded change with its reason.
    """
    wanted, seen = list(expected), recorder.trace(name)
    if seen == wanted:
        return
    lines = [
        f"  {change.name}: {change.from_state.value} -> {change.to_state.value} ({change.reason})"
        for change in recorder.changes
        if name is None or change.name == name
    ]
    recorded = "\n".join(lines) or "  nothing"
    raise AssertionError(f"expected {wanted}, but recorded:\n{recorded}")
