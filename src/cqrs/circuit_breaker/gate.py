"""The shell around the state machine: lock, clock and delivery of events.

Every form of a guarded call goes through three steps: ``enter`` admits it or raises, then exactly one of
``leave`` (it returned) and ``fail`` (it raised) settles it. While a circuit is closed and healthy the steps
take no lock: they consist of statements that CPython does not interrupt, on data that only grows. Everything
else happens in ``Machine`` under the lock. User code never runs under it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from cqrs.circuit_breaker.events import CallFailed, CallRejected, CircuitEvent
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.circuit_breaker.machine import LOCK_FREE, Machine
from cqrs.circuit_breaker.phases import Grant, Lane, Shut
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.verdict import Trip, Verdict

R = TypeVar("R")

Token = Lane | Grant
"""An admission: a grant, or the lane itself for a call that nobody times."""


class Gate:
    """Admission and settlement for one circuit, for threads and tasks alike."""

    __slots__ = ("__weakref__", "_own_hub", "busy", "clock", "deferred", "hubs", "lock", "machine")

    def __init__(self, machine: Machine, clock: Callable[[], float], hubs: tuple[ListenerHub, ...]) -> None:
        self.machine = machine
        self.clock = clock
        self.hubs = hubs
        self._own_hub: ListenerHub | None = None
        self.lock = threading.RLock()
        self.busy = False
        self.deferred: list[Callable[[], object]] = []

    # ------------------------------------------------------------------ the three steps

    def enter(self) -> Token:
        """Admit a call.

        Raises:
            CircuitOpenError: it may not pass.
        """
        lane = self.machine.lane
        if lane is None:
            return self.enter_locked()
        if not lane.timed:
            lane.admitted += 1
            return lane
        now = self.clock()
        grant = Grant(lane, now)
        first = lane.head.next
        if lane.linked and (
            now >= lane.window.segment_end or (first is not None and now - first.started >= lane.slow_after)
        ):
            return self.enter_locked()  # there may be something to count
        if lane is not self.machine.lane:
            return self.enter_locked()  # the era ended while the grant was made
        lane.admitted += 1
        if lane.linked:
            lane.tail.next = grant
            lane.tail = grant
        return grant

    def acquire(self) -> Grant:
        """Admit a call that the caller settles by hand; raises like ``enter``."""
        token = self.enter()
        return token if isinstance(token, Grant) else Grant(token, 0.0)

    def leave(self, token: Token, result: object) -> None:
        """Settle a call that returned ``result``."""
        machine = self.machine
        if machine.policy.judge.judges_results:
            duration = token.duration(self.clock()) if isinstance(token, Grant) else None
            self.settle(token, machine.policy.judge.of_result(result, duration))
            return
        lane = machine.lane
        if lane is not None and token is lane:
            window = lane.window
            if window.timed:
                now = self.clock()
                # No call from here on: what is checked still holds when it is counted.
                if now < window.segment_end and not lane.watch and lane is machine.lane:
                    lane.successes += 1
                    return
            elif not lane.watch:
                lane.successes += 1
                return
        elif lane is not None and isinstance(token, Grant) and token.phase is lane:
            now = self.clock()
            if (
                now - token.started < lane.slow_after
                and now < lane.window.segment_end
                and not (lane.watch or token.settled or token.overdue)
                and token.answered is None
                and lane is machine.lane
            ):
                token.settled = True
                lane.successes += 1
                while (first := lane.head.next) is not None and first.settled:
                    lane.head = first
                return
        self.settle(token, Verdict.SUCCESS)

    def fail(self, token: Token, error: BaseException) -> None:
        """Settle a call that raised ``error``."""
        machine = self.machine
        duration = token.duration(self.clock()) if isinstance(token, Grant) else None
        self.settle(token, machine.policy.judge.of_error(error, duration), error)

    def answered(self, token: Token) -> None:
        """Note that a stream has delivered its first item: that is the duration that counts (L13)."""
        if isinstance(token, Grant):
            token.answered = max(0.0, self.clock() - token.started)

    # ------------------------------------------------------------------ under the lock

    def enter_locked(self) -> Grant:
        """Admit a call by the state machine."""
        machine = self.machine
        now = self.clock()
        phase = machine.phase
        grant: Grant | None = None
        if LOCK_FREE and isinstance(phase, Shut) and now < phase.until:
            machine.totals.rejected += 1
            error = phase.rejection(now)
        elif not self._begin():
            error = machine.rejection(now)
            error.reason = "called by a finaliser or signal handler in the middle of a state change"
        else:
            try:
                grant = machine.admit(now)
                if grant is not None:
                    return grant
                machine.totals.rejected += 1
                error = machine.rejection(now)
            finally:
                self._end()
        if self.listened():
            state = State(error.state)
            self.publish(CallRejected(machine.name, error.epoch, now, state, error.retry_after))
        raise error

    def settle(self, token: Token, verdict: Verdict | Trip, error: BaseException | None = None) -> bool:
        """Record the end of a call; ``False`` when it no longer matters (another era, or settled before)."""
        if not self._begin():
            self.deferred.append(lambda: self.settle(token, verdict, error))
            return True
        machine = self.machine
        before = machine.phase
        try:
            settled = machine.settle(token, self.clock(), verdict)
            opened = machine.phase if machine.phase is not before else None
        finally:
            self._end(deliver=False)
        if error is not None and (isinstance(opened, Shut) or self.listened()):
            self._remember(error, opened, verdict if settled else None)
        self._deliver()
        return settled

    def abandon(self, token: Token, verdict: Verdict) -> None:
        """Settle from where a garbage collector may be the caller: never waits for the lock."""
        if self.lock.acquire(blocking=False):
            try:
                self.settle(token, verdict)
            finally:
                self.lock.release()
        else:
            self.deferred.append(lambda: self.settle(token, verdict))

    def order(self, change: Callable[[float], None]) -> None:
        """Apply a change to the state machine, given the time."""
        if not self._begin():
            self.deferred.append(lambda: self.order(change))
            return
        try:
            change(self.clock())
        finally:
            self._end()

    def read(self, what: Callable[[Machine, float], R]) -> R:
        """Return a consistent view of the state machine."""
        with self.lock:
            return what(self.machine, self.clock())

    def own_hub(self) -> ListenerHub:
        """Return the listeners of this circuit alone."""
        with self.lock:
            if self._own_hub is None:
                self._own_hub = ListenerHub()
                self.hubs = (*self.hubs, self._own_hub)
            return self._own_hub

    def listened(self) -> bool:
        """Whether anybody would be told an event."""
        return any(hub.subscriptions for hub in self.hubs)

    def publish(self, event: CircuitEvent) -> None:
        """Tell the listeners."""
        for hub in self.hubs:
            hub.enqueue([event])
        self._deliver()

    def _begin(self) -> bool:
        """Take the lock; ``False`` when this very thread is in the middle of a change already.

        That happens when a signal handler or a finaliser makes or ends a guarded call: it must neither wait
        for itself nor see a half-made change.
        """
        while self.deferred and not self.busy:
            self.deferred.pop(0)()
        self.lock.acquire()
        if self.busy:
            self.lock.release()
            return False
        self.busy = True
        return True

    def _end(self, *, deliver: bool = True) -> None:
        events = self.machine.events
        if events:
            self.machine.events = []
            for hub in self.hubs:
                hub.enqueue(events)
        self.busy = False
        self.lock.release()
        if deliver:
            self._deliver()

    def _deliver(self) -> None:
        for hub in self.hubs:
            hub.deliver()
        while self.deferred and not self.busy:
            self.deferred.pop(0)()

    def _remember(self, error: BaseException, opened: object, verdict: Verdict | Trip | None) -> None:
        """Keep what an error said, without its frames, and report a failure."""
        summary = summarise(error)
        if isinstance(opened, Shut):
            opened.last_failure = summary
            opened.evidence["last_failure"] = summary
        if (
            verdict is not None
            and self.listened()
            and (verdict is Verdict.FAILURE or isinstance(verdict, Trip))
        ):
            machine = self.machine
            self.publish(CallFailed(machine.name, machine.phase.era, self.clock(), summary))


def summarise(error: BaseException) -> str:
    """Return ``"Type: message"``, at most 200 characters of the message."""
    try:
        message = str(error)
    except Exception:
        message = "(its message cannot be rendered)"
    name = type(error).__qualname__
    return f"{name}: {message[:200]}" if message else name
