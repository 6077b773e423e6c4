"""One call of the event processor: a queue of events, and who takes from it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from cqrs.dispatcher.event import EventFailure, EventPlan
from cqrs.dispatcher.scope import DispatchScope
from cqrs.events.event_emitter import EventEmitter
from cqrs.exceptions import EventCycleError

_logger = logging.getLogger(__name__)


class _Trail(NamedTuple):
    """How an event came about: the events that it follows from, nearest first."""

    event_type: type[Any]
    depth: int
    parent: _Trail | None


def plans_of(emitter: EventEmitter | None) -> Callable[[object], EventPlan | None] | None:
    """Return what finds the handlers of an event; ``None`` when the emitter has to be asked to emit it.

    An emitter of the user's own may do as it likes in ``emit``.
    """
    if emitter is None or getattr(type(emitter), "emit", None) is not EventEmitter.emit:
        return None
    return emitter.plan_of


class EventRun:
    """The events of one call, while they are being processed."""

    __slots__ = ("_emitter", "_max_depth", "_plan_of", "_queue", "failures", "own_scope", "scope")

    def __init__(
        self,
        emitter: EventEmitter,
        events: Iterable[object],
        scope: DispatchScope | None,
        isolate: bool,
        max_depth: int,
    ) -> None:
        self._emitter = emitter
        self._plan_of = plans_of(emitter)
        self._queue: deque[tuple[object, _Trail | None]] = deque([(event, None) for event in events])
        self._max_depth = max_depth
        self.scope = scope
        self.own_scope: DispatchScope | None = None
        self.failures: list[EventFailure] | None = [] if isolate else None

    async def in_turn(self) -> None:
        """Handle one event after the other, in the caller's task."""
        while self._queue:
            await self.handle_next()

    async def by_workers(self, limit: int) -> None:
        """Handle up to ``limit`` events at once; no task outlives the call, however it ends."""
        while len(self._queue) == 1:  # needs no task
            await self.handle_next()
        if self._queue:
            await _Workers(self, limit).run()

    @property
    def waiting(self) -> int:
        """How many events nobody has begun to handle."""
        return len(self._queue)

    async def handle_next(self) -> None:
        """Take the next event, handle it and queue its follow-ups."""
        event, trail = self._queue.popleft()
        follow_ups = await self._emit(event)
        if follow_ups:
            trail = _Trail(type(event), 1 if trail is None else trail.depth + 1, trail)
            if trail.depth > self._max_depth:
                raise EventCycleError((*_path(trail), type(follow_ups[0])), self._max_depth)
            self._queue.extend([(follow_up, trail) for follow_up in follow_ups])

    async def _emit(self, event: object) -> list[object]:
        plan = None if self._plan_of is None else self._plan_of(event)
        if plan is None:
            return await self._emit_by_emitter(event)
        if plan.needs_scope and self.scope is None:
            self.scope = self.own_scope = self._emitter.open_scope()
        follow_ups: list[object] = []
        await plan.handle(event, self.scope, follow_ups, failures=self.failures)
        return follow_ups

    async def _emit_by_emitter(self, event: object) -> list[object]:
        try:
            return await self._emitter.emit(event)
        except Exception as error:
            if self.failures is None:
                raise
            self.failures.append(EventFailure(event, type(self._emitter), error))
            return []


def _path(trail: _Trail | None) -> tuple[type[Any], ...]:
    path: list[type[Any]] = []
    while trail is not None:
        path.append(trail.event_type)
        trail = trail.parent
    return tuple(reversed(path))


class _Stop(Exception):
    """Ends the task group when a handler raised ``CancelledError`` of its own accord."""


class _Workers:
    """Tasks that share the queue of a run: as many as there is work for, up to a limit."""

    __slots__ = ("_error", "_group", "_limit", "_number", "_run", "_starting")

    def __init__(self, run: EventRun, limit: int) -> None:
        self._run = run
        self._limit = limit
        self._number = 0
        self._starting = 0
        self._error: BaseException | None = None
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Return when the queue is empty and all workers are done.

        Raises:
            BaseException: the first error of a worker, itself; the other workers are cancelled and awaited.
        """
        try:
            async with self._group:
                self._add(self._run.waiting)
        except BaseExceptionGroup as group:
            for other in group.exceptions:
                if other is not self._error and not isinstance(other, _Stop):
                    _logger.error(
                        "an event handler failed while another one's error ended the run", exc_info=other
                    )
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame

    def _add(self, work: int) -> None:
        # A task that begins eagerly may add workers itself before this loop goes on.
        while work > 0 and self._number < self._limit:
            work -= 1
            self._number += 1
            self._starting += 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        run = self._run
        task = asyncio.current_task()
        self._starting -= 1
        try:
            while run.waiting:
                await run.handle_next()
                if task is not None and task.cancelling():
                    return  # a handler kept its cancellation to itself: the run is over all the same
                # This worker takes the next event itself, those that are starting will take one each.
                self._add(run.waiting - self._starting - 1)
        except asyncio.CancelledError as cancelled:
            if task is None or task.cancelling():
                raise
            self._error = self._error or cancelled
            raise _Stop from cancelled
        except (KeyboardInterrupt, SystemExit) as interruption:
            # A task that raises it stops the event loop before the caller sees it.
            self._error = interruption
            raise _Stop from interruption
        except BaseException as error:
            self._error = self._error or error
            raise
        finally:
            self._number -= 1
