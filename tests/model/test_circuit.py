"""The engine and the reference model, driven in lock-step by random operations, must never disagree."""

from __future__ import annotations

import os
from typing import Any

import hypothesis.strategies as st
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

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitOpenError,
    CountWindow,
    Mode,
    Permit,
    Ramp,
    State,
    StateChanged,
    TimeWindow,
    Trip,
    Verdict,
    WouldOpen,
)
from cqrs.testing import FakeClock

from .reference import Call, Model, same_kind

TICK = 0.125
ticks = st.one_of(st.integers(1, 8), st.integers(1, 80), st.just(8 * 3600)).map(lambda count: count * TICK)
verdicts = st.sampled_from(
    [Verdict.SUCCESS, Verdict.FAILURE] * 4
    + [Verdict.IGNORED, Verdict.CANCELLED, Verdict.INCONCLUSIVE]
    + [Trip(), Trip(for_=0.5), Trip(for_=3.0), Trip(for_=100.0)]
)


@st.composite
def policies(draw: st.DrawFn) -> CircuitBreakerPolicy:
    """Draw any policy that makes sense, small enough for its limits to be met often."""
    window = draw(
        st.one_of(
            st.builds(CountWindow, st.integers(1, 6)),
            st.builds(
                lambda width, buckets: TimeWindow(width * buckets, buckets=buckets),
                st.sampled_from([0.25, 0.5, 2.0]),
                st.integers(1, 5),
            ),
            st.none(),
        )
    )
    minimum = draw(st.integers(1, min(5, window.size) if isinstance(window, CountWindow) else 5))
    slow = draw(st.sampled_from([None, 0.5, 1.5])) if window is not None else None
    permitted = draw(st.integers(1, 4))
    shares = st.sampled_from([0.25, 0.5, 0.75, 1.0])
    backoffs = st.builds(
        Backoff, st.sampled_from([0.5, 1.0]), st.sampled_from([1.0, 2.0]), st.sampled_from([1.0, 4.0, 16.0]),
        jitter=st.sampled_from([0.0, 0.5]),
    )  # fmt: skip
    return CircuitBreakerPolicy(
        sliding_window=window,
        minimum_number_of_calls=minimum,
        failure_rate_threshold=draw(shares),
        consecutive_failures=draw(
            st.integers(1, 4) if window is None else st.sampled_from([None, None, 2, 3])
        ),
        slow_call_duration_threshold=slow,
        slow_call_rate_threshold=draw(shares),
        count_in_flight_slow=draw(st.booleans()),
        wait_duration_in_open=draw(st.one_of(st.sampled_from([0.5, 2.0]), backoffs)),
        permitted_calls_in_half_open=permitted,
        max_concurrent_probes=draw(st.integers(1, permitted)),
        probe_timeout=TICK,  # synchronous calls are not cut off
        max_probe_duration=draw(st.sampled_from([0.5, 0.5, 2.0, 8.0])),
        max_wait_duration_in_half_open=draw(st.sampled_from([1.0, 4.0, 16.0])),
        on_half_open_timeout=draw(st.sampled_from(["open", "closed"])),
        recovery_ramp=draw(
            st.one_of(
                st.none(),
                st.builds(Ramp, st.sampled_from([1.0, 4.0, 32.0]), st.sampled_from([0.125, 0.25, 0.5, 1.0])),
            )
        ),
        on_cancel=draw(st.sampled_from(["slow_if_exceeded", "ignore", "failure"])),
        initial_mode=draw(st.sampled_from([Mode.ENABLED] * 7 + [Mode.METRICS_ONLY])),
    )


class CircuitMachine(RuleBasedStateMachine):
    """Every rule does the same to both and compares what they answer."""

    open_calls = Bundle("open_calls")
    done_calls = Bundle("done_calls")

    @initialize(policy=policies(), start=st.integers(0, 64))
    def begin(self, policy: CircuitBreakerPolicy, start: int) -> None:
        self.drawn = 0.0
        self.would_open = 0
        self.trace: list[tuple[State, State, int]] = []
        self.clock = FakeClock(1024.0 + start * TICK)
        self.engine = CircuitBreaker("model", policy, clock=self.clock, random=lambda: self.drawn)
        self.engine.add_listener(self.listen, inline=True)
        self.model = Model(policy, self.clock(), lambda: self.drawn)

    def listen(self, event: object) -> None:
        if isinstance(event, StateChanged):
            self.trace.append((event.from_state, event.to_state, event.era))
        self.would_open += isinstance(event, WouldOpen)

    # ------------------------------------------------------------------ calls

    def admit(self) -> tuple[Permit, Call] | None:
        call = self.model.admit()
        rejected: CircuitOpenError | None = None
        try:
            permit = self.engine.acquire()
        except CircuitOpenError as error:
            rejected = error
        if rejected is not None:
            assert call is None, f"the engine rejects what the model admits: {rejected}"
            self.check_rejection(rejected)
            return None
        assert call is not None, "the engine admits what the model rejects"
        assert permit.era == call.era
        return permit, call

    def check_rejection(self, error: CircuitOpenError) -> None:
        model = self.model
        assert (error.state, error.epoch) == (model.state.value, model.era)
        if model.state is State.OPEN:
            assert error.retry_after == model.until - model.now
        elif model.state is State.FORCED_OPEN:
            expected = None if model.mode_until == float("inf") else model.mode_until - model.now
            assert error.retry_after == expected
        else:
            assert error.retry_after is not None
            assert error.retry_after >= 0

    @rule(target=open_calls)
    def start_call(self) -> Any:
        pair = self.admit()
        return multiple() if pair is None else pair

    @rule(target=open_calls, count=st.integers(2, 5))
    def start_calls(self, count: int) -> Any:
        return multiple(*[pair for _ in range(count) if (pair := self.admit()) is not None])

    @rule(target=done_calls, pair=consumes(open_calls), verdict=verdicts)
    def settle(self, pair: tuple[Permit, Call], verdict: Verdict | Trip) -> Any:
        permit, call = pair
        assert permit.settle(verdict) is self.model.settle(call, verdict)
        return pair

    @rule(pair=done_calls, verdict=verdicts)
    def settle_again(self, pair: tuple[Permit, Call], verdict: Verdict | Trip) -> None:
        permit, call = pair
        assert self.model.settle(call, verdict) is False
        assert permit.settle(verdict) is False

    @rule(
        verdicts=st.lists(verdicts, min_size=1, max_size=6),
        seconds=st.sampled_from([0.0, 0.0, 0.125, 0.5, 1.5]),
    )
    def run_calls(self, verdicts: list[Verdict | Trip], seconds: float) -> None:
        for verdict in verdicts:
            pair = self.admit()
            if pair is not None:
                self.move(seconds)
                self.settle(pair, verdict)
                self.agree()

    # ------------------------------------------------------------------ time and chance

    def move(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now = self.clock()

    @rule(seconds=ticks)
    def wait(self, seconds: float) -> None:
        self.move(seconds)

    @precondition(lambda self: self.model.moments())
    @rule(data=st.data(), shift=st.sampled_from([0.0, 0.0, 0.0, TICK, -TICK]))
    def wait_until_something_is_due(self, data: st.DataObject, shift: float) -> None:
        moment = data.draw(st.sampled_from(sorted(self.model.moments())))
        self.move(max(0.0, moment + shift - self.clock()))

    @rule(stage=st.sampled_from(["open", "half-open", "half-open", "recovered"]), rejected=st.booleans())
    def break_down(self, stage: str, rejected: bool) -> None:
        """Go through an outage, up to some stage of it."""
        pair = self.admit()
        if pair is not None:
            self.settle(pair, Trip())
        if rejected:
            self.admit()
        if stage != "open" and self.model.state is State.OPEN:
            self.move(max(0.0, self.model.until - self.clock()))
        if stage == "recovered":
            self.run_calls([Verdict.SUCCESS] * 4, 0.0)

    @precondition(lambda self: self.model.view() == (State.HALF_OPEN, "probing"))
    @rule(target=open_calls, late=st.sampled_from([0.0, 0.0, TICK, -TICK]))
    def lose_probe(self, late: float) -> Any:
        """Start a probe and wait until it is due to be given up."""
        pair = self.admit()
        self.move(self.model.policy.max_probe_duration + late)
        self.agree()
        self.run_calls([Verdict.IGNORED], 0.0)
        return multiple() if pair is None else pair

    # Which of the running calls are overdue is only defined while their start times are in order.
    @precondition(lambda self: not (self.slow_calls_count_in_flight()))
    @rule(seconds=st.integers(1, 40).map(lambda count: count * TICK))
    def step_back(self, seconds: float) -> None:
        self.clock.step_back(seconds)
        self.model.now = self.clock()

    def slow_calls_count_in_flight(self) -> bool:
        policy = self.model.policy
        return policy.slow_call_duration_threshold is not None and policy.count_in_flight_slow

    @rule(drawn=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    def roll(self, drawn: float) -> None:
        self.drawn = drawn

    # ------------------------------------------------------------------ orders

    @rule(mode=st.sampled_from([*Mode, None, None]), ttl=st.one_of(st.none(), ticks))
    def override(self, mode: Mode | None, ttl: float | None) -> None:
        if mode is None:
            self.engine.clear_override()
            self.model.clear_mode()
        else:
            self.engine.override(mode, ttl=ttl)
            self.model.set_mode(mode, ttl)

    @rule()
    def reset(self) -> None:
        self.engine.reset()
        self.model.reset()

    @rule(policy=policies())
    def reload(self, policy: CircuitBreakerPolicy) -> None:
        policy = same_kind(self.model.policy, policy)
        self.engine.reload(policy)
        self.model.reload(policy)

    # ------------------------------------------------------------------ agreement

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "model"):
            return
        model, seen = self.model, self.engine.snapshot()
        assert (self.engine.state, self.engine.phase, self.engine.era) == (*model.view(), model.era)
        assert (seen.state, seen.phase, seen.era) == (*model.view(), model.era)
        assert self.trace == model.trace
        assert self.would_open == model.would_open
        for name, expected in vars(model.counters).items():
            assert getattr(seen, name) == expected, name
        assert seen.in_flight == sum(not call.settled for call in model.calls)
        if model.stale():
            return
        window = model.window if model.recording else []
        assert seen.window_calls == len(window)
        assert seen.window_failures == sum(record.failed for record in window)
        assert seen.window_slow == sum(record.slow for record in window)
        if model.state is State.OPEN:
            assert seen.open_remaining == model.until - model.now
        if model.recording:
            met = {
                condition.name
                for condition in self.engine.explain().conditions
                if condition.met and condition.name not in ("minimum_number_of_calls", "recovery_ramp")
            }
            assert met == model.conditions()


TestCircuit = CircuitMachine.TestCase
if "HYPOTHESIS_PROFILE" not in os.environ:
    TestCircuit.settings = settings(max_examples=600, stateful_step_count=50)
