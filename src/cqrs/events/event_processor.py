"""Processing the events of a request and everything that follows from them, breadth first."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.event import EventFailure
from cqrs.dispatcher.request import check_map
from cqrs.dispatcher.scope import DispatchScope
from cqrs.events.event_emitter import EventEmitter
from cqrs.events.event_run import EventRun, plans_of
from cqrs.exceptions import ConfigurationError, EventHandlingErrors

_logger = logging.getLogger(__name__)

EventErrors: TypeAlias = Literal["raise", "collect", "log"]
"""What an error of an event handler does to the other events: see ``EventProcessor``."""


class EventProcessor:
    """Emits events and their follow-ups until none is left.

    Args:
        event_map: binds event types to handlers (the emitter's map).
        event_emitter: delivers each event; without one, events are dropped.
        max_concurrent_event_handlers: how many events are handled at once, at least 1; the handlers of each
            run in turn. 1 means that all events are handled one after the other, in the caller's task.
        concurrent_event_handle_enable: ``False`` is the same as a maximum of 1.
        event_errors: ``"raise"`` raises the first error at once and cancels what is running; ``"collect"``
            handles everything, then raises ``EventHandlingErrors``; ``"log"`` handles everything and logs.
        max_event_depth: how deep follow-ups of follow-ups may nest, at least 1.

    Raises:
        ConfigurationError: an argument is outside its range.
        TypeError: ``event_map`` is no map, or the emitter has no ``emit``.
    """

    def __init__(
        self,
        event_map: BindingMap[Any],
        event_emitter: EventEmitter | None = None,
        max_concurrent_event_handlers: int = 1,
        concurrent_event_handle_enable: bool = True,
        *,
        event_errors: EventErrors = "raise",
        max_event_depth: int = 100,
    ) -> None:
        check_map("event_map", event_map)
        _check_count("max_concurrent_event_handlers", max_concurrent_event_handlers)
        _check_count("max_event_depth", max_event_depth)
        if event_errors not in get_args(EventErrors):
            raise ConfigurationError(
                f"event_errors={event_errors!r} is not allowed: it must be 'raise', 'collect' or 'log'"
            )
        if not isinstance(concurrent_event_handle_enable, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"concurrent_event_handle_enable={concurrent_event_handle_enable!r} is not allowed: "
                "it must be True or False"
            )
        if isinstance(event_emitter, type) or not (
            event_emitter is None or callable(getattr(event_emitter, "emit", None))
        ):
            raise ConfigurationError(f"an event emitter must have `async emit(event)`, not {event_emitter!r}")
        self._emitter = event_emitter
        in_turn = max_concurrent_event_handlers == 1 or not concurrent_event_handle_enable
        self._plan_of = plans_of(event_emitter) if in_turn and event_errors == "raise" else None
        self._workers = 1 if in_turn else max_concurrent_event_handlers
        self._event_errors: EventErrors = event_errors
        self._max_event_depth = max_event_depth

    async def emit_events(self, events: Iterable[object]) -> None:
        """Process ``events`` and their follow-ups; return when all of them are handled.

        Raises:
            EventCycleError: follow-ups nest deeper than the limit.
            EventHandlingErrors: what handlers raised, with ``event_errors="collect"``.
            Exception: what a handler raised and no fallback took, with ``event_errors="raise"``.
        """
        await self.process(events, None)

    async def process(self, events: Iterable[object], scope: DispatchScope | None) -> None:
        """Do what ``emit_events`` does, with handlers from ``scope`` if it is given."""
        emitter = self._emitter
        if emitter is None:
            return
        queue = deque(events)
        if self._plan_of is not None:
            # Handlers that need no guard and record nothing need no more than this.
            while queue:
                plan = self._plan_of(queue[0])
                if plan is None or plan.direct is None:
                    break
                event = queue.popleft()
                for create in plan.direct:
                    await create().handle(event)
            else:
                return
        run = EventRun(emitter, queue, scope, self._event_errors != "raise", self._max_event_depth)
        try:
            if self._workers == 1:
                await run.in_turn()
            else:
                await run.by_workers(self._workers)
        except BaseException as error:
            _log(run.failures or ())  # nobody will be told otherwise
            if run.own_scope is not None:
                await run.own_scope.__aexit__(type(error), error, error.__traceback__)
            raise
        if run.own_scope is not None:
            await run.own_scope.__aexit__(None, None, None)
        if run.failures:
            self._tell(run.failures)

    def _tell(self, failures: list[EventFailure]) -> None:
        if self._event_errors == "collect":
            raise EventHandlingErrors(
                f"{len(failures)} event handler(s) failed", [failure.error for failure in failures]
            )
        _log(failures)


def _log(failures: Iterable[EventFailure]) -> None:
    for event, handler, error in failures:
        _logger.error(
            "%s failed to handle %s",
            handler.__qualname__,
            type(event).__qualname__,
            exc_info=error,
            extra={"event_type": type(event).__qualname__, "event_handler": handler.__qualname__},
        )


def _check_count(name: str, number: Any) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigurationError(f"{name}={number!r} is not allowed: it must be an integer of at least 1")
