"""The shell around the state machine: lock, clock and delivery of events.

Every form of a guarded call goes through three steps: ``enter`` admits it or raises (where others must agree,
``complete`` waits for them), then exactly one of ``leave`` (it returned) and ``fail`` (it raised) settles it.
While a circuit is closed and healthy the steps take no lock: they consist of statements that CPython does
not interrupt, on data that only grows. Everything else happens in ``Machine`` under the lock. User code never
runs under it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.events import CallFailed, CallRejected, CircuitEvent
from cqrs.circuit_breaker.interruptions import catch_up, defer, generation
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.circuit_breaker.machine import Machine
from cqrs.circuit_breaker.phases import RUNNING, SETTLED, Grant, Lane, Shut
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.transitions import LOCK_FREE
from cqrs.circuit_breaker.verdict import FAILURE, SUCCESS, Trip, Verdict

R = TypeVar("R")
Arguments = TypeVarTuple("Arguments")


class NoLane:
    """Stands in for the machine of a gate whose admissions must all pass through ``enter``."""

    lane = None


NO_LANE = NoLane()

Token = Lane | Grant
"""An admission: a grant, or the lane itself for a call that nobody times."""


class Gate:
    """Admission and settlement for one circuit, for threads and tasks alike."""

    __slots__ = (
        "__weakref__",
        "busy",
        "clock",
        "generation",
        "hubs",
        "lock",
        "looked_at",
        "machine",
        "seen_activity",
        "used_after",
        "used_before",
    )

    def __init__(self, machine: Machine, clock: Callable[[], float], hubs: tuple[ListenerHub, ...]) -> None:
        self.machine = machine
        self.clock = clock
        self.hubs = hubs
        self.lock = threading.RLock()
        self.busy = False
        # What a registry knows of it from its looks: the last use was between these two moments.
        self.used_after = self.used_before = self.looked_at = 0.0
        self.seen_activity = 0
        self.generation = generation()

    # ------------------------------------------------------------------ the three steps

    def enter(self) -> Token:
        """Admit a call.

        Raises:
            CircuitOpenError: it may not pass.
        """
        machine = self.machine
        lane = machine.lane
        if lane is None:
            shut: Any = machine.barrier
            if shut is None:
                shut = machine.phase
            if LOCK_FREE and shut.bars:
                now = self.clock()
                ends = machine.mode_until  # an override may expire before the wait is over
                if now < shut.until and (ends is None or now < ends):
                    machine.totals.rejected += 1
                    error: CircuitOpenError = shut.rejection(now)
                    if self.listened():
                        self._report_rejection(error, now)
                    try:
                        raise error
                    finally:
                        del error  # whose traceback holds this frame: no cycle per rejection
            return self.enter_locked()
        if not lane.timed:
            lane.admitted += 1
            return lane
        now = self.clock()
        grant = Grant(lane, now)
        first = lane.head.next
        if lane.linked and (
            lane.watch
            or now >= lane.window.segment_end
            or (first is not None and now - first.started >= lane.slow_after)
        ):
            return self.enter_locked()  # there may be something to count
        if lane is not machine.lane:
            return self.enter_locked()  # the era ended while the grant was made
        lane.admitted += 1
        if lane.linked:
            lane.tail.next = grant
            lane.tail = grant
        return grant

    def complete(self, token: Token) -> Token:
        """Wait for those who have yet to agree to an admission (``token.waits``): of shared circuits only.

        Raises:
            CircuitOpenError: they do not.
        """
        return token

    async def complete_async(self, token: Token) -> Token:
        """Like ``complete``, without blocking the event loop."""
        return token

    def acquire(self) -> Grant:
        """Admit a call that the caller settles by hand; raises like ``enter``."""
        token = self.enter()
        return self._in_hand(self.complete(token) if token.waits else token)

    async def acquire_async(self) -> Grant:
        """Like ``acquire``, without blocking the event loop."""
        token = self.enter()
        return self._in_hand(await self.complete_async(token) if token.waits else token)

    def _in_hand(self, token: Token) -> Grant:
        return token if isinstance(token, Grant) else Grant(token, self.clock())

    def leave(self, token: Token, result: object) -> None:
        """Settle a call that returned ``result``."""
        machine = self.machine
        lane = machine.lane
        if lane is not None and token.quick and token is lane:
            lane.successes += 1
            return
        if lane is not None and not lane.judged:
            grant = token if lane.timed and isinstance(token, Grant) else None
            now = self.clock()
            # No call from here on: what is checked still holds when it is counted.
            if now < lane.window.segment_end and not lane.watch and lane is machine.lane:
                if token is lane:
                    lane.successes += 1
                    return
                first = lane.head.next
                if (
                    grant is not None
                    and grant.phase is lane
                    and grant.mark == RUNNING
                    and grant.answered is None
                    and now - grant.started < lane.slow_after
                    and (first is None or now - first.started < lane.slow_after)
                ):
                    grant.mark = SETTLED
                    lane.successes += 1
                    if grant.next is None and first is grant:  # drop_settled() for the usual case
                        lane.head.next = None
                        lane.head = grant
                    else:
                        lane.drop_settled()
                    return
        judge = machine.policy.judge
        if judge.judges_results:
            self.settle(token, judge.of_result(result, self._duration(token)))
        else:
            self.settle(token, SUCCESS)

    def succeed(self, token: Token) -> None:
        """Settle a call as a success that no rule needs to look at."""
        if self.machine.policy.judge.judges_results:
            self.settle(token, SUCCESS)
        else:
            self.leave(token, None)

    def fail(self, token: Token, error: BaseException) -> None:
        """Settle a call that raised ``error``."""
        judge = self.machine.policy.judge
        self.settle(
            token, judge.of_error(error, self._duration(token) if judge.asks_duration else None), error
        )

    def _duration(self, token: Token) -> float | None:
        return token.duration(self.clock()) if isinstance(token, Grant) else None

    @property
    def quick_machine(self) -> Machine | NoLane:
        """Where a guard may look for a lane to admit and settle calls in by itself."""
        return self.machine

    def answered(self, token: Token) -> None:
        """Note that a stream has delivered its first item: that is the duration that counts (L13)."""
        if isinstance(token, Grant):
            token.answered = max(0.0, self.clock() - token.started)

    # ------------------------------------------------------------------ under the lock

    def enter_locked(self) -> Grant:
        """Admit a call by the state machine."""
        machine = self.machine
        return self._admitted_or_raise(self._change(machine.admit_or_reject))

    def _admitted_or_raise(self, answer: Grant | CircuitOpenError | None) -> Grant:
        machine = self.machine
        if isinstance(answer, Grant):
            return answer
        if answer is None:
            why = "called by a finaliser or signal handler in the middle of a state change"
            raise CircuitOpenError(machine.name, State.OPEN.value, why, 0.0, epoch=machine.phase.era)
        if self.listened():
            self._report_rejection(answer, self.clock())
        try:
            raise answer
        finally:
            del answer  # whose traceback holds this frame

    def _report_rejection(self, error: CircuitOpenError, now: float) -> None:
        state = State(error.state)
        self.publish(CallRejected(self.machine.name, error.epoch, now, state, error.retry_after))

    def settle(self, token: Token, verdict: Verdict | Trip, error: BaseException | None = None) -> bool:
        """Record the end of a call; ``False`` when it no longer matters (another era, or settled before)."""
        machine = self.machine
        before = machine.phase
        settled = self._change(machine.settle, token, verdict, deliver=False)
        if settled is None:
            defer(lambda: self.settle(token, verdict, error))
            return True
        after = machine.phase
        if settled and (after is not before or self.listened()):
            failed = verdict is FAILURE or isinstance(verdict, Trip)
            self._remember(error, after if after is not before else None, before.era, failed)
        self._deliver()
        return settled

    def withdraw(self, token: Token) -> bool:
        """Take an admission back: the call was never made. ``False`` when that no longer matters."""
        withdrawn = self._change(self.machine.withdraw, token)
        if withdrawn is None:
            defer(lambda: self.withdraw(token))
        return withdrawn is not False

    def abandon(self, token: Token, verdict: Verdict) -> None:
        """Settle from where a garbage collector may be the caller: never waits for the lock."""
        if self.generation != generation():
            self._renew_lock()
        if self.lock.acquire(blocking=False):
            try:
                self.settle(token, verdict)
            finally:
                self.lock.release()
        else:
            defer(lambda: self.settle(token, verdict))

    def order(self, change: Callable[[float], object]) -> None:
        """Apply a change to the state machine, given the time."""

        def changed(now: float) -> bool:
            change(now)
            return True

        if self._change(changed) is None:
            defer(lambda: self.order(change))

    def _change(
        self, action: Callable[[float, *Arguments], R], *args: *Arguments, deliver: bool = True
    ) -> R | None:
        """Run ``action(now, *args)`` under the lock; ``None`` when this thread is in the middle of another.

        That happens when a signal handler or a finaliser makes or ends a guarded call: it must neither wait
        for itself nor see a half-made change. ``with`` rather than ``acquire``: between taking the lock and
        the block CPython lets no signal in.
        """
        catch_up()
        if self.generation != generation():
            self._renew_lock()
        with self.lock:
            if self.busy:
                return None
            self.busy = True
            try:
                result = action(self.clock(), *args)
            finally:
                # First of all, and without a call: no signal may come between.
                events, self.machine.events = self.machine.events, None
                self.busy = False
            if events is not None:
                for hub in self.hubs:
                    hub.enqueue(events)
        if deliver:
            self._deliver()
        return result

    def _renew_lock(self) -> None:
        """In a child: whoever was in the middle of a change has stayed behind in the parent."""
        self.lock = threading.RLock()
        self.busy = False
        self.generation = generation()

    def read(self, what: Callable[[Machine, float], R]) -> R:
        """Return a consistent view of the state machine."""
        if self.generation != generation():
            self._renew_lock()
        with self.lock:
            return what(self.machine, self.clock())

    def own_hub(self, first: ListenerHub | None = None) -> ListenerHub:
        """Return the listeners of this circuit alone; ``first`` if there were none so far."""
        if self.generation != generation():
            self._renew_lock()
        with self.lock:
            for hub in self.hubs:
                if hub.of_one_circuit:
                    return hub
            hub = first or ListenerHub()
            hub.of_one_circuit = True
            self.hubs = (*self.hubs, hub)
            return hub

    def listened(self) -> bool:
        """Whether anybody would be told the events of a call."""
        for hub in self.hubs:  # noqa: SIM110  (asked for every rejection, and quicker than any())
            if hub.of_calls:
                return True
        return False

    def publish(self, event: CircuitEvent) -> None:
        """Tell the listeners."""
        for hub in self.hubs:
            hub.enqueue([event])
        self._deliver()

    def _deliver(self) -> None:
        for hub in self.hubs:
            hub.deliver()
        catch_up()

    def _remember(self, error: BaseException | None, became: object, era: int, failed: bool) -> None:
        """Keep what an error said, without its frames, and report a failure."""
        summary = "judged by its result" if error is None else summarise(error)
        if isinstance(became, Shut):
            became.last_failure = became.evidence["last_failure"] = summary
        if failed and self.listened():
            machine = self.machine
            self.publish(CallFailed(machine.name, era, self.clock(), summary))


def summarise(error: BaseException) -> str:
    """Return ``"Type: message"``, at most 200 characters of the message."""
    try:
        message = str(error)
    except Exception:
        message = "(its message cannot be rendered)"
    name = type(error).__qualname__
    return f"{name}: {message[:200]}" if message else name
