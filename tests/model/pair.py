"""The engine and the reference model, side by side: what is done to one is done to the other."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from cqrs.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitOpenError,
    Mode,
    Permit,
    State,
    StateChanged,
    Trip,
    Verdict,
    WouldOpen,
)
from cqrs.testing import FakeClock

from .policies import TICK
from .reference import Call, Model

VERDICTS: list[Verdict | Trip] = [
    *[Verdict.SUCCESS, Verdict.FAILURE] * 4,
    *[Verdict.IGNORED, Verdict.CANCELLED, Verdict.INCONCLUSIVE],
    *[Trip(), Trip(for_=0.5), Trip(for_=3.0), Trip(for_=100.0)],
]


FORMS = ["call", "block", "permit"]


class Down(Exception):
    """What a failing call raises."""


@dataclass
class Running:
    """One admitted call, as both know it."""

    permit: Permit
    block: AbstractContextManager[Permit]
    call: Call


class Pair:
    """Both machines, one clock, one source of chance."""

    def __init__(self, policy: CircuitBreakerPolicy, start: float) -> None:
        self.drawn = 0.0
        self.would_open = 0
        self.trace: list[tuple[State, State, int]] = []
        self.clock = FakeClock(start)
        self.engine = CircuitBreaker("model", policy, clock=self.clock, random=lambda: self.drawn)
        self.engine.add_listener(self._listen, inline=True)
        self.model = Model(policy, start, lambda: self.drawn)

    def _listen(self, event: object) -> None:
        if isinstance(event, StateChanged):
            self.trace.append((event.from_state, event.to_state, event.era))
        self.would_open += isinstance(event, WouldOpen)

    # ------------------------------------------------------------------ calls

    def start(self) -> Running | None:
        call = self.model.admit()
        block = self.engine.permit()
        rejected: CircuitOpenError | None = None
        try:
            permit = block.__enter__()
        except CircuitOpenError as error:
            rejected = error
        if rejected is not None:
            assert call is None, f"the engine rejects what the model admits: {rejected}"
            self._check_rejection(rejected)
            return None
        assert call is not None, "the engine admits what the model rejects"
        assert permit.era == call.era
        return Running(permit, block, call)

    def _check_rejection(self, error: CircuitOpenError) -> None:
        model = self.model
        assert (error.state, error.epoch) == (model.state.value, model.era)
        if model.state is State.OPEN:
            assert error.retry_after == model.until - model.now
        elif model.state is State.FORCED_OPEN:
            left = model.mode_until - model.now
            assert error.retry_after == (None if left == math.inf else left)
        else:
            assert error.retry_after is not None
            assert error.retry_after >= 0

    def end(self, running: Running, verdict: Verdict | Trip, by_hand: bool) -> None:
        """End a call, for the first time or once more: by hand, or by leaving the block."""
        applied = self.model.settle(running.call, verdict)
        if not by_hand and verdict is Verdict.SUCCESS:
            running.block.__exit__(None, None, None)
        elif not by_hand and verdict is Verdict.FAILURE:
            running.block.__exit__(Down, Down(), None)
        else:
            assert running.permit.settle(verdict) is applied

    def drop(self, running: Running) -> None:
        assert running.permit.drop() is self.model.drop(running.call)

    def call(self, verdict: Verdict, seconds: float) -> None:
        """Make one guarded call that returns or raises."""
        call = self.model.admit()
        reached = False

        def dependency() -> None:
            nonlocal reached
            reached = True
            self.advance(seconds)
            if verdict is Verdict.FAILURE:
                raise Down

        try:
            self.engine.call(dependency)
        except (Down, CircuitOpenError):
            pass
        assert reached is (call is not None)
        if call is not None:
            self.model.settle(call, verdict)

    def run(self, verdicts: list[Verdict | Trip], seconds: float, form: str = "call") -> None:
        """Make one call after the other, each of some length, in one of the ``FORMS``."""
        for verdict in verdicts:
            if form == "call" and verdict in (Verdict.SUCCESS, Verdict.FAILURE):
                self.call(Verdict(verdict), seconds)
            elif (running := self.start()) is not None:
                self.advance(seconds)
                self.end(running, verdict, form == "permit")
            self.check()

    # ------------------------------------------------------------------ time

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now = self.clock()

    def advance_to(self, moment: float) -> None:
        self.advance(max(0.0, moment - self.clock()))

    @property
    def may_step_back(self) -> bool:
        """Which running calls are overdue is only defined while their start times are in order."""
        policy = self.model.policy
        return policy.slow_call_duration_threshold is None or not policy.count_in_flight_slow

    def step_back(self, seconds: float) -> None:
        self.clock.step_back(seconds)
        self.model.now = self.clock()

    # ------------------------------------------------------------------ whole stories

    def break_down(self, stage: str, rejected: bool) -> None:
        """Go through an outage, up to some stage of it: open, half-open, recovered."""
        running = self.start()
        if running is not None:
            self.end(running, Trip(), by_hand=True)
        if rejected and (running := self.start()) is not None:
            self.end(running, Verdict.IGNORED, by_hand=True)
        if stage != "open" and self.model.state is State.OPEN:
            self.advance_to(self.model.until)
        if stage == "recovered":
            self.run([Verdict.SUCCESS] * 4, 0.0)

    def lose_probe(self, late: float) -> Running | None:
        """Start a probe and wait until it is due to be given up, or almost."""
        running = self.start()
        self.advance(self.model.policy.max_probe_duration + late)
        self.check()
        self.run([Verdict.IGNORED], 0.0)
        return running

    # ------------------------------------------------------------------ orders

    def override(self, mode: Mode | None, ttl: float | None) -> None:
        """Set a mode, or clear it."""
        if mode is None:
            self.engine.clear_override()
            self.model.clear_mode()
        else:
            self.engine.override(mode, ttl=ttl)
            self.model.set_mode(mode, ttl)

    def reset(self) -> None:
        self.engine.reset()
        self.model.reset()

    def reload(self, policy: CircuitBreakerPolicy) -> None:
        self.engine.reload(policy)
        self.model.reload(policy)

    # ------------------------------------------------------------------ comparison

    def check(self) -> None:
        """Compare everything that can be told from outside."""
        model, seen = self.model, self.engine.snapshot()
        expected: dict[str, Any] = {"era": model.era, "in_flight": model.in_flight, **vars(model.counters)}
        expected["state"], expected["phase"] = model.view()
        assert (self.engine.state, self.engine.phase, self.engine.era) == (*model.view(), model.era)
        if not model.stale():
            window = model.window if model.recording else []
            expected["window_calls"] = len(window)
            expected["window_failures"] = sum(record.failed for record in window)
            expected["window_slow"] = sum(record.slow for record in window)
            if model.state is State.OPEN:
                expected["open_remaining"] = model.until - model.now
        found = {name: getattr(seen, name) for name in expected}
        assert found == expected
        assert (self.trace, self.would_open) == (model.trace, model.would_open)
        if model.recording and not model.stale():
            beside = ("minimum_number_of_calls", "recovery_ramp")
            conditions = self.engine.explain().conditions
            met = {each.name for each in conditions if each.met and each.name not in beside}
            assert met == model.conditions(), self.engine.explain()


LATENESS = [0.0, 0.0, TICK, -TICK]
"""How far from a due moment to look, in seconds."""
