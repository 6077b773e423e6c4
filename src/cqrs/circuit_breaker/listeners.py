"""Delivery of events to listeners, so that none of them can disturb a guarded call or another listener.

A listener has a queue of its own. Unless it is inline, a helper thread empties the queue; the thread exists
only while events wait, so that an idle process has none.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

from cqrs.circuit_breaker.events import CallFailed, CallRejected, CircuitEvent
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.validation import is_async
from cqrs.exceptions import ConfigurationTypeError

logger = logging.getLogger(__name__)

Listener: TypeAlias = Callable[[CircuitEvent], object]

QUEUE_LIMIT = 10_000
"""Events that wait for one slow listener; the oldest are dropped beyond it, and their number is logged."""


class _Subscription:
    """One listener, its queue, and at most one thread that empties it."""

    def __init__(self, listener: Listener, inline: bool, calls: bool) -> None:
        self.listener = listener
        self.inline = inline
        self.calls = calls
        self.queue: deque[CircuitEvent] = deque()
        self.lock = ForkedLock()  # a finaliser may bring an event in the middle of another
        self.idle = threading.Event()
        self.idle.set()
        self.worker_pid: int | None = None
        self.dropped = 0
        self.failed_before = False
        self.unhelped_before = False

    def put(self, event: CircuitEvent) -> None:
        """Queue an event; may be called under a circuit's lock."""
        with self.lock.mine():
            if len(self.queue) >= QUEUE_LIMIT:
                self.queue.popleft()
                self.dropped += 1
            self.queue.append(event)
            self.idle.clear()

    def wake(self) -> None:
        """See to it that the queue is emptied."""
        if self.inline:
            self._drain()
            return
        with self.lock.mine():
            pid = os.getpid()
            if not self.queue or self.worker_pid == pid:  # another pid: the thread stayed behind in a fork
                return
            self.worker_pid = pid
        try:
            threading.Thread(target=self._drain, name="holdfast-listener", daemon=True).start()
        except RuntimeError:  # too many threads, or the interpreter is going down
            self.worker_pid = None  # the events wait for the next one
            level = logging.DEBUG if self.unhelped_before else logging.ERROR
            self.unhelped_before = True
            logger.log(level, "no thread could be started for listener %r", self.listener, exc_info=True)

    def _drain(self) -> None:
        while True:
            with self.lock.mine():
                if not self.queue:
                    if not self.inline:
                        self.worker_pid = None
                    self.idle.set()
                    dropped, self.dropped = self.dropped, 0
                    break
                event = self.queue.popleft()
            self._tell(event)
        if dropped:
            logger.warning("listener %r is slow: %d events were dropped", self.listener, dropped)

    def _tell(self, event: CircuitEvent) -> None:
        try:
            self.listener(event)
        except Exception:
            level = logging.DEBUG if self.failed_before else logging.ERROR
            self.failed_before = True
            logger.log(level, "listener %r raised on %r", self.listener, event, exc_info=True)


class ListenerHub:
    """The listeners of one circuit or of a whole registry."""

    __slots__ = ("_lock", "of_calls", "of_one_circuit", "subscriptions")

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._lock = ForkedLock()
        self.of_one_circuit = False
        self.subscriptions: tuple[_Subscription, ...] = ()
        self.of_calls = False
        """Whether anybody wants the events of single calls."""
        if callable(listeners):
            raise ConfigurationTypeError(f"listeners must be a list of listeners, not the one {listeners!r}")
        for listener in listeners:
            self.add(listener)

    def add(self, listener: Listener, *, inline: bool = False, calls: bool = True) -> None:
        """Add a listener; see ``CircuitBreaker.add_listener``."""
        if not callable(listener):
            raise ConfigurationTypeError(f"a listener must be callable with one event, got {listener!r}")
        if is_async(listener):
            raise ConfigurationTypeError(
                f"listener {listener!r} is a coroutine function; nobody would await it. Use a function, and"
                " hand over to your event loop with loop.call_soon_threadsafe"
            )
        with self._lock.mine():
            self._set((*self.subscriptions, _Subscription(listener, inline, calls)))

    def remove(self, listener: Listener) -> None:
        """Remove a listener; unknown ones are ignored."""
        with self._lock.mine():
            self._set(tuple(s for s in self.subscriptions if s.listener != listener))

    def _set(self, subscriptions: tuple[_Subscription, ...]) -> None:
        self.subscriptions = subscriptions
        self.of_calls = any(subscription.calls for subscription in subscriptions)

    def enqueue(self, events: list[CircuitEvent]) -> None:
        """Queue events in order; called under the circuit's lock, runs no listener."""
        for subscription in self.subscriptions:
            for event in events:
                if subscription.calls or not isinstance(event, (CallRejected, CallFailed)):
                    subscription.put(event)

    def deliver(self) -> None:
        """Run inline listeners here and see to the others; called without any lock."""
        for subscription in self.subscriptions:
            if subscription.queue:
                subscription.wake()

    def flush(self, timeout: float) -> bool:
        """Wait until every queue is empty; ``False`` after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        return all(s.idle.wait(max(0.0, deadline - time.monotonic())) for s in self.subscriptions)
