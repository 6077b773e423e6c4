"""Reading the events of handlers: each is delivered once, however long its handler lives."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from cqrs.exceptions import HandlerTypeError

_logger = logging.getLogger(__name__)

_DELIVERED = "_cqrs_delivered"
_SEQUENCES = frozenset({list, tuple, deque})


def take_events(handler: Any) -> tuple[object, ...]:
    """Return the events that ``handler`` recorded since they were last taken, oldest first."""
    recorded = handler.events
    if not recorded:
        return ()
    events = cast(
        "tuple[object, ...]", tuple(recorded if type(recorded) in _SEQUENCES else _items(recorded, handler))
    )
    if not events:
        return ()
    # Kept on the handler: it lives as long as the handler does, and no longer.
    memory = getattr(handler, "__dict__", None)
    if memory is None:
        return events
    delivered: tuple[int, object] | None = memory.get(_DELIVERED)
    memory[_DELIVERED] = (len(events), events[-1])
    if delivered is not None:
        count, last = delivered
        # The handler did not start a new list: what was there then is still in front.
        if count <= len(events) and events[count - 1] is last:
            return events[count:]
    return events


def _items(recorded: Any, handler: Any) -> Any:
    """Return what can be iterated for events; a single event often can, too, but gives its fields."""
    if isinstance(recorded, str | bytes | Mapping) or not isinstance(recorded, Collection | Iterator):
        raise HandlerTypeError(
            f"{type(handler).__qualname__}.events must be a sequence of events, not {recorded!r}"
        )
    return cast("Any", recorded)


def discard_events(handlers: list[Any]) -> None:
    """Forget what failed handlers recorded, so that a later success does not deliver it."""
    for handler in handlers:
        try:
            take_events(handler)
        except Exception:
            # The handler has failed already: its own error is the one to tell.
            _logger.debug(
                "the events of a failed %s cannot be read", type(handler).__qualname__, exc_info=True
            )


def clear_events(handler: Any) -> None:
    """Let a streaming ``handler`` forget its events, which have been taken."""
    handler.clear_events()
    memory = getattr(handler, "__dict__", None)
    if memory is not None and _DELIVERED in memory and not handler.events:
        # An event object that is recorded again is a new event from now on.
        del memory[_DELIVERED]
