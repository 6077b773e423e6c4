"""The state machine of a circuit that is shared: the local one, and before it what the fleet says.

Pure like ``Machine``. The local machine always protects its own process: it may be open while the fleet is
closed (that is the answer to one sick process). What the fleet decides stands before it as a ``Barrier``, and
as long as there is none a shared circuit behaves and costs exactly like a local one.
The letters in comments name the invariants that the tests carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.events import CircuitEvent, StateChanged
from cqrs.circuit_breaker.fleet.modes import Modes, Order
from cqrs.circuit_breaker.fleet.reporting import ReportingMachine
from cqrs.circuit_breaker.fleet.view import NOTHING_KNOWN, OPEN, PROBING, RAMPING, Barrier, FleetView
from cqrs.circuit_breaker.phases import Grant, HalfOpen, Lane, Phase, Shut
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import Mode, State

SPREAD = 0.05
"""Seconds over which processes spread what they would otherwise all ask at the same moment."""

EXPIRED = "override expired"
"""Why a circuit is closed whose override has ended by itself; the store says the same."""


class Ask(NamedTuple):
    """The local machine agrees to a call; the fleet must be asked as well."""

    local: Grant
    barrier: Barrier
    seen: tuple[str, int]


class SharedMachine(ReportingMachine):
    """State, permits and counts of one shared circuit in one process."""

    __slots__ = ("barrier", "detached", "highest", "modes", "told")

    barrier: Barrier | None

    def __init__(
        self,
        name: str,
        policy: CircuitBreakerPolicy,
        now: float,
        random: Callable[[], float],
        numbers: Iterator[int],
    ) -> None:
        self.barrier = None
        self.highest = ("", 0)  # epoch of the present incarnation; survives a store that is set back
        self.detached = False  # the fleet's say was replaced by our own, for want of a store
        self.modes = Modes(policy.initial_mode)
        super().__init__(name, policy, now, random, numbers)
        self.told = self._shown()

    # ------------------------------------------------------------------ admission behind a barrier

    def admit_ramping(self, now: float) -> Grant | CircuitOpenError:
        """Admit the share of calls that the fleet's ramp lets through (L10, F14)."""
        barrier = self.barrier
        if barrier is not None and barrier.kind is RAMPING:
            share = barrier.share(now)
            if share >= 1.0:
                self._lift(now)
            else:
                barrier.credit += share
                if barrier.credit < 1.0 - 1e-9:
                    self.own_totals().rejected += 1
                    return barrier.rejection(now)
                barrier.credit -= 1.0
        return self.admit_or_reject(now)

    def ask(
        self, now: float, degraded: bool, draw: Callable[[], float], patience: float
    ) -> Ask | Grant | CircuitOpenError:
        """Let one call ask the fleet for a probe, if it is time to (F1)."""
        self._expire_override(now)
        barrier = self.barrier
        if barrier is None or barrier.kind is RAMPING:
            return self.admit_ramping(now)
        if now >= barrier.opens and degraded:
            self.fall_back(now, draw())  # F7
            return self.admit_or_reject(now)
        if barrier.kind is OPEN and now >= barrier.until:
            barrier.probe_from(barrier.until + SPREAD * draw())
            self._tell_shift(now, "wait in open is over")
        if now < barrier.until:
            self.own_totals().rejected += 1
            return barrier.rejection(now)
        local = self.admit_or_reject(now)
        if isinstance(local, CircuitOpenError):
            return local
        barrier.asking = True
        barrier.until = now + patience  # one at a time; an answer that never comes blocks nobody for ever
        return Ask(local, barrier, self.highest)

    def answer(self, now: float, asked: Barrier, seen: tuple[str, int], until: float) -> None:
        """Note when another call may ask; the answer may have put up another barrier, that of ``seen``."""
        barrier = self.barrier
        if barrier is None or barrier.kind is not PROBING:
            return
        if barrier is asked or self.view.seen == seen:
            barrier.asking = False
            barrier.until = max(now, until)

    def _lift(self, now: float) -> None:
        self.barrier = None
        self._settle_in(self.phase)
        self._tell_shift(now, "all traffic has returned")

    # ------------------------------------------------------------------ what the fleet says

    def adopt(self, view: FleetView, now: float, random: float) -> None:
        """Take over the fleet's view of this circuit (F9).

        Args:
            random: in [0, 1); spreads what all processes would do at once.
        """
        old = self.view
        if view.older_than(old):
            return
        self.view = view
        if view.incarnation == self.highest[0]:
            self.highest = view.incarnation, max(view.epoch, self.highest[1])
        else:
            self.highest = view.seen
        # The state too: a store that was set back may give an epoch out twice.
        if (view.seen, view.state) == (old.seen, old.state) and not self.detached:
            if old.older_than(view) or old.shard != view.shard:
                self._look_again(now, random)
            self._hear(view, old)
            return
        if self._has_gone_on(view, old, now):
            self.modes.fleet = None
            self._hear(view, old)
            return
        self.modes.fleet = None if view.mode is None else Order(view.mode, _end(view.heard, view.mode_left))
        self.start_over()
        self._impose(now, view.actor or None, view.reason or None, "fleet")
        if self.mode is Mode.ENABLED:
            self._shift(view, now, random)
        self._be_keen(view.row > 0)
        self.detached = False

    def _has_gone_on(self, view: FleetView, old: FleetView, now: float) -> bool:
        """Whether ``view`` only says that an override has ended, and this process has begun anew by itself.

        The store notices with the first report that it gets after that: what this process has counted since
        belongs to the new epoch.
        """
        order = self.modes.fleet
        return (
            (view.incarnation, view.epoch - 1, view.reason) == (*old.seen, EXPIRED)
            and view.state is State.CLOSED
            and view.mode is None
            and order is not None
            and order.until is not None
            and order.until <= now
            and self.mode_until != order.until
            and self.mode is Mode.ENABLED
            and self.modes.own is None
            and not self.detached
        )

    def adopt_everywhere(self, order: Order | None, now: float, actor: str, reason: str) -> None:
        """Take over an override of all circuits."""
        if order != self.modes.everywhere:
            self.modes.everywhere = order
            self._impose(now, actor or None, reason or None, "fleet")

    def _look_again(self, now: float, random: float) -> None:
        """Ask soon: a probe may have ended. What is only heard once more is no reason to (F1)."""
        barrier = self.barrier
        if barrier is not None and barrier.kind is PROBING and not barrier.asking:
            barrier.until = min(barrier.until, now + SPREAD * random)

    def _hear(self, view: FleetView, old: FleetView) -> None:
        """Take what may change without a transition: pending failures."""
        if old.row and not view.row:
            self.owing = False  # somebody else's success has ended the row
        if view.row and not self.keen:
            self._be_keen(True)
        elif not view.row and self.keen and not self.owing and not self.batch and self.sent is None:
            self._be_keen(False)

    def _shift(self, view: FleetView, now: float, random: float) -> None:
        """Put the barrier of ``view`` up, and begin an era: what was counted before belongs to the past."""
        phase, was_detached = self.phase, self.detached
        self.lane = None
        if isinstance(phase, Lane):
            self.own_totals().absorb(phase)
            lane = self._new_lane(phase.state, phase.era + 1, now)
            lane.since = phase.since
            phase = lane
        elif self._subsumed(view, phase, was_detached):
            # The fleet's wait takes the place of ours: the same outage, not a sick process.
            self.streak = max(0, self.streak - 1)
            phase = self._new_lane(State.CLOSED, phase.era + 1, now)
        self.barrier = self._barrier_of(view, now, random)
        self._settle_in(phase)
        self._tell_shift(now, view.reason or "the fleet's view was adopted")

    def _subsumed(self, view: FleetView, phase: Phase, detached: bool) -> bool:
        if view.state is State.CLOSED or (isinstance(phase, Shut) and phase.state is not State.OPEN):
            return False
        return detached or self.streak <= max(1, view.streak)

    def _barrier_of(self, view: FleetView, now: float, random: float) -> Barrier | None:
        if view.state is State.OPEN:
            barrier = Barrier(self.name, view, OPEN, view.until)
        elif view.state is State.HALF_OPEN:
            barrier = Barrier(self.name, view, PROBING, now + SPREAD * random)
        elif view.ramp_from is not None:
            ramp = self.policy.recovery_ramp
            barrier = Barrier.ramping(self.name, view, 0.1 if ramp is None else ramp.initial)
        else:
            return None
        self.own_totals()  # rejections are counted without the lock
        return barrier

    def fall_back(self, now: float, random: float) -> None:
        """Go on alone from what the fleet said last (F7).

        The wait of an open fleet is honoured, and prolonged at random, so that processes that cannot see each
        other do not all probe at once; then this process probes, one call at a time.
        """
        barrier = self.barrier
        if barrier is None or barrier.kind is RAMPING:
            return
        phase = self.phase
        self.lane = None
        self.barrier = None
        self.detached = True
        if isinstance(phase, Lane):
            self.own_totals().absorb(phase)
            self.streak = max(1, self.streak)
            until = max(now, barrier.opens) + random * barrier.wait
            shut = Shut(self.name, State.OPEN, phase.era + 1, now, until, barrier.reason)
            shut.source = "fleet"
            shut.concurrent = 1
            phase = shut
        self._settle_in(phase)
        self._tell_shift(now, "the store of the circuit is lost")

    def lose(self, now: float, random: float) -> None:
        """Note that the store has lost this circuit: an open one is not forgotten for that."""
        view = self.view
        if view is NOTHING_KNOWN:
            return
        self.fall_back(now, random)
        self.view = NOTHING_KNOWN
        self.detached = False  # there is nothing to return to; the next view need not begin an era
        self.modes.fleet = None
        self._impose(now, None, "the store has lost the override", "fleet")

    # ------------------------------------------------------------------ overrides, F11

    def set_mode(
        self,
        mode: Mode,
        now: float,
        ttl: float | None,
        actor: str | None,
        reason: str | None,
        local: bool = False,
    ) -> None:
        self.modes.own = Order(mode, _end(now, ttl), local)
        self._impose(now, actor, reason, "local", fresh=True)

    def clear_mode(self, now: float, actor: str | None, reason: str | None) -> None:
        if self.modes.own is not None:
            self.modes.own = None
            self._impose(now, actor, reason or "override cleared", "local", fresh=True)

    def reset(self, now: float) -> None:
        self.streak = 0
        self.modes.own = None
        self._impose(now, None, "reset", "local", fresh=True)

    def _expire_override(self, now: float) -> None:
        if self.mode_until is not None and now >= self.mode_until:
            self._impose(now, None, EXPIRED, "local", fresh=True)

    def _impose(
        self, now: float, actor: str | None, reason: str | None, source: str, *, fresh: bool = False
    ) -> None:
        """Put in force what the orders add up to; it begins with empty counts (L11)."""
        self.modes.initial = self.policy.initial_mode
        mode, until = self.modes.in_force(now)
        if not fresh and (mode, until) == (self.mode, self.mode_until):
            return
        if mode is not Mode.ENABLED:
            self.barrier = None
        ttl = None if until is None else until - now
        super().set_mode(mode, now, ttl, actor, reason)
        self.mode_until = until
        if isinstance(self.phase, Shut):
            self.phase.source = source
        if mode is Mode.ENABLED and self.barrier is None and not self.detached:
            self.barrier = self._barrier_of(self.view, now, 0.0)
            self._settle_in(self.phase)
            self._tell_shift(now, self.view.reason or "the fleet's view is in force again")

    # ------------------------------------------------------------------ reading

    def effective(self, now: float) -> tuple[State, str | None]:
        barrier = self.barrier
        if self.mode_until is not None and now >= self.mode_until:
            mode, _ = self.modes.in_force(now)
            if mode is not Mode.ENABLED:
                return State(mode.value), None
            barrier = None if self.detached else self._barrier_of(self.view, now, 0.0)
            return (State.CLOSED, None) if barrier is None else barrier.effective(now)
        own = super().effective(now)
        if barrier is None or own[0] in (State.OPEN, State.FORCED_OPEN):
            return own
        fleet = barrier.effective(now)
        return own if fleet[0] is State.CLOSED else fleet

    def _settle_in(self, phase: Phase) -> None:
        super()._settle_in(phase)
        if self.barrier is not None:
            self.lane = None

    def _shown(self) -> tuple[State, str | None]:
        """Return the state without what time alone has changed: that is told when a call finds it."""
        phase, barrier = self.phase, self.barrier
        if isinstance(phase, HalfOpen):
            own: tuple[State, str | None] = State.HALF_OPEN, "probing"
        else:
            own = phase.state, "ramping" if isinstance(phase, Lane) and phase.ramping else None
        if barrier is None or own[0] in (State.OPEN, State.FORCED_OPEN):
            return own
        return barrier.state, None if barrier.kind is OPEN else barrier.kind

    def _tell_shift(self, now: float, why: str) -> None:
        state, phase = self._shown()
        view, era = self.view, self.phase.era
        evidence = {"epoch": view.epoch, "wait": view.wait, "streak": view.streak}
        self._tell(StateChanged(self.name, era, now, self.told[0], state, why, phase, evidence, "fleet"))

    def _tell(self, event: CircuitEvent) -> None:
        """Tell a change as one of the circuit as a whole: it begins where the last one ended."""
        if isinstance(event, StateChanged):
            before, self.told = self.told, self._shown()
            state, phase = self.told
            if self.told == before and (event.source == "fleet" or event.from_state is not event.to_state):
                return  # a change behind the barrier, or none
            event = replace(event, from_state=before[0], to_state=state, phase=phase)
        super()._tell(event)

    def fleet_view(self) -> FleetView:
        return self.view

    def at_rest(self) -> bool:
        """Whether a fresh circuit would know as much of the fleet as this one."""
        return (
            self.barrier is None and not self.dirty and not self.batch and self.sent is None and not self.keen
        )


def _end(now: float, seconds: float | None) -> float | None:
    return None if seconds is None else now + seconds
