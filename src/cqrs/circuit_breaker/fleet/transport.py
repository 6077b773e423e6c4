"""The seam between a process and its store: who carries requests, and who is called back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

Message: TypeAlias = dict[str, Any]
"""A request, a reply or a published message: JSON objects, see ``wire``."""

Done: TypeAlias = Callable[[Message | None, Exception | None], None]
"""Called once with a reply, or with ``None`` and the error."""


class Transport(Protocol):
    """Carries requests to a coordinator. Every method may be called from any thread; only ``close`` waits."""

    def submit(self, shard: int, request: Message, timeout: float, done: Done) -> None:
        """Send a request; ``done`` is called exactly once, from any thread, within about ``timeout`` seconds.

        What fails, a closed transport included, ends in ``done(None, StoreUnavailableError(...))``.
        """
        ...

    def wake(self) -> None:
        """See to it that ``Ticker.tick`` is called soon; may be called from a finaliser or signal handler."""
        ...

    def close(self, timeout: float) -> None:
        """Stop within ``timeout`` seconds; what is under way ends with an error. Again: nothing."""
        ...

    def abandon(self) -> None:
        """Forget everything, in a forked child: without touching what the parent still uses."""
        ...


class Ticker(Protocol):
    """What a transport calls; none of these blocks or raises."""

    def tick(self) -> float:
        """Do what is due; return the seconds until something is due again, at least 0."""
        ...

    def connected(self) -> None:
        """Note a fresh connection: what was changed meanwhile has not been heard."""
        ...

    def message(self, payload: Message) -> None:
        """Take a published message."""
        ...
