"""The engine and the reference model must never disagree: Hypothesis looks for a short way to make them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from cqrs.circuit_breaker import CircuitBreakerPolicy, Mode, State, Trip, Verdict, gate, transitions

from .pair import FORMS, LATENESS, VERDICTS, Pair, Running
from .policies import TICK, draw_policy, for_reload

verdicts = st.sampled_from(VERDICTS)
ticks = st.one_of(st.integers(1, 8), st.integers(1, 80), st.just(8 * 3600)).map(lambda count: count * TICK)


@st.composite
def policies(draw: st.DrawFn) -> CircuitBreakerPolicy:
    def choose(options: Sequence[Any]) -> Any:
        return draw(st.sampled_from(options))

    return draw_policy(choose)


class CircuitMachine(RuleBasedStateMachine):
    """The rules by which Hypothesis may operate both."""

    running = Bundle("running")
    done = Bundle("done")

    @initialize(policy=policies(), start=st.integers(0, 64))
    def begin(self, policy: CircuitBreakerPolicy, start: int) -> None:
        self.pair = Pair(policy, 1024.0 + start * TICK)

    @rule(target=running)
    def start_call(self) -> Any:
        running = self.pair.start()
        return multiple() if running is None else running

    @rule(target=running, count=st.integers(2, 5))
    def start_calls(self, count: int) -> Any:
        return multiple(*[running for _ in range(count) if (running := self.pair.start()) is not None])

    @rule(target=done, running=consumes(running), verdict=verdicts, by_hand=st.booleans())
    def end_call(self, running: Running, verdict: Verdict | Trip, by_hand: bool) -> Running:
        self.pair.end(running, verdict, by_hand)
        return running

    @rule(target=done, running=consumes(running))
    def drop_call(self, running: Running) -> Running:
        self.pair.drop(running)
        return running

    @rule(running=done, verdict=verdicts, by_hand=st.booleans())
    def end_call_again(self, running: Running, verdict: Verdict | Trip, by_hand: bool) -> None:
        self.pair.end(running, verdict, by_hand)

    @rule(
        verdicts=st.lists(verdicts, min_size=1, max_size=6),
        seconds=st.sampled_from([0.0, 0.0, TICK, 0.5, 1.5]),
        form=st.sampled_from(FORMS),
    )
    def run_calls(self, verdicts: list[Verdict | Trip], seconds: float, form: str) -> None:
        self.pair.run(verdicts, seconds, form)

    @rule(seconds=ticks)
    def wait(self, seconds: float) -> None:
        self.pair.advance(seconds)

    @precondition(lambda self: self.pair.model.moments())
    @rule(data=st.data(), late=st.sampled_from(LATENESS))
    def wait_until_something_is_due(self, data: st.DataObject, late: float) -> None:
        moment = data.draw(st.sampled_from(sorted(self.pair.model.moments())))
        self.pair.advance_to(moment + late)

    @precondition(lambda self: self.pair.may_step_back)
    @rule(seconds=st.integers(1, 40).map(lambda count: count * TICK))
    def step_back(self, seconds: float) -> None:
        self.pair.step_back(seconds)

    @rule(drawn=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    def roll(self, drawn: float) -> None:
        self.pair.drawn = drawn

    @rule(stage=st.sampled_from(["open", "half-open", "recovered"]), rejected=st.booleans())
    def break_down(self, stage: str, rejected: bool) -> None:
        self.pair.break_down(stage, rejected)

    @precondition(lambda self: self.pair.model.view() == (State.HALF_OPEN, "probing"))
    @rule(target=running, late=st.sampled_from(LATENESS))
    def lose_probe(self, late: float) -> Any:
        running = self.pair.lose_probe(late)
        return multiple() if running is None else running

    @rule(mode=st.sampled_from([*Mode, None, None]), ttl=st.one_of(st.none(), ticks))
    def override(self, mode: Mode | None, ttl: float | None) -> None:
        self.pair.override(mode, ttl)

    @rule()
    def reset(self) -> None:
        self.pair.reset()

    @rule(policy=policies())
    def reload(self, policy: CircuitBreakerPolicy) -> None:
        self.pair.reload(for_reload(self.pair.model.policy, policy))

    @invariant()
    def agree(self) -> None:
        self.pair.check()


class LockedCircuitMachine(CircuitMachine):
    """The same on an interpreter without a global lock, where every call takes the lock of its circuit."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        for module in (gate, transitions):
            self.patches.setattr(module, "LOCK_FREE", False)

    def teardown(self) -> None:
        self.patches.undo()
        super().teardown()


TestCircuit = CircuitMachine.TestCase
TestLockedCircuit = LockedCircuitMachine.TestCase
if "HYPOTHESIS_PROFILE" not in os.environ:
    TestCircuit.settings = settings(max_examples=250, stateful_step_count=50)
    TestLockedCircuit.settings = settings(max_examples=50, stateful_step_count=50)
