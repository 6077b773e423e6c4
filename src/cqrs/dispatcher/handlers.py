"""What the dispatchers know about handlers: they may record events, and some stream or form chains."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar


class RecordsEvents:
    """Base of everything that may record events while it handles a message."""

    @property
    def events(self) -> Sequence[object]:
        """The events recorded so far, oldest first; none unless a subclass overrides this.

        They are read once, after the handler has succeeded. A handler that serves more than one message (a
        singleton of its container) need not forget them: what was delivered once is not delivered again.
        """
        return ()


class HandlesRequests(RecordsEvents):
    """Marks handler classes with ``async handle(request)`` that returns the response."""


class HandlesStreams(RecordsEvents):
    """Marks handler classes whose ``handle(request)`` is an async generator of responses."""

    def clear_events(self) -> None:
        """Forget the recorded events; called once per item, after its events were read."""


class ChainLink(RecordsEvents):
    """Marks handler classes that pass a request on to the next of their chain."""

    def set_next(self, handler: Any) -> Any:
        """Remember which handler ``next`` passes requests to, and return it."""
        raise NotImplementedError


class HandlesEvents(RecordsEvents):
    """Marks handler classes with ``async handle(event)`` whose events are follow-ups."""


class RunsSagas:
    """Marks saga classes: an instance's ``transaction`` executes one saga."""

    saga_name: ClassVar[str] = ""
    """Name of the class in the storage."""

    @classmethod
    def check_context_type(cls, context_type: type[Any]) -> None:
        """Refuse a type of context that the saga is not declared for.

        Raises:
            HandlerTypeError: its steps could not work with it.
        """
        raise NotImplementedError

    def transaction(
        self,
        context: Any,
        container: Any,
        storage: Any,
        saga_id: Any = None,
        compensation_retry_count: int = 3,
        compensation_retry_delay: float = 1.0,
        compensation_retry_backoff: float = 2.0,
    ) -> Any:
        """Return the execution of one saga: an async context manager that iterates its results."""
        raise NotImplementedError


def may_record_events(create: Any, handler: type[Any]) -> bool:
    """Tell whether what ``create`` builds for ``handler`` may ever record an event."""
    # What builds the handler may build a subclass that does, unless it is the class itself.
    return create is not handler or inspect.getattr_static(handler, "events", None) is not _NO_EVENTS


def makes_new_instances(handler: type[Any]) -> bool:
    """Tell whether calling the class gives a new instance each time, rather than one that it keeps."""
    metaclass: Any = type(handler)
    makers: tuple[Any, Any] = (handler.__new__, metaclass.__call__)
    return makers == (object.__new__, type.__call__)


_NO_EVENTS = vars(RecordsEvents)["events"]
