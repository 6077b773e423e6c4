"""A circuit breaker that is too simple to be wrong: it keeps everything and recomputes everything.

It follows the rules L1 to L11 literally and knows nothing of how the engine does it. All times are
multiples of 1/8 s and all shares are dyadic, so that no rounding is involved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreakerPolicy,
    CountWindow,
    Mode,
    State,
    TimeWindow,
    Trip,
    Verdict,
)

LANES = (State.CLOSED, State.DISABLED, State.METRICS_ONLY)


@dataclass
class Call:
    """One admitted call."""

    era: int
    started: float
    settled: bool = False
    lost: bool = False


@dataclass
class Record:
    """One outcome in the window."""

    at: float
    failed: bool
    slow: bool


@dataclass
class Counters:
    """Everything that happened, ever."""

    admitted: int = 0
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    cancelled: int = 0
    inconclusive: int = 0
    slow: int = 0
    late: int = 0
    lost: int = 0
    rejected: int = 0


@dataclass
class Model:
    """The whole state of one circuit."""

    policy: CircuitBreakerPolicy
    now: float
    random: Callable[[], float]
    era: int = 0
    state: State = State.CLOSED
    ramping: bool = False
    since: float = 0.0
    until: float = math.inf
    mode: Mode = Mode.ENABLED
    mode_until: float = math.inf
    streak: int = 0
    records: list[Record] = field(default_factory=list[Record])
    newest: float = -math.inf
    answers: list[Verdict] = field(default_factory=list[Verdict])
    calls: list[Call] = field(default_factory=list[Call])
    acc: float = 0.0
    probes: list[tuple[Verdict, bool]] = field(default_factory=list[tuple[Verdict, bool]])
    lost_in_a_row: int = 0
    inconclusive_in_a_row: int = 0
    would_open: int = 0
    told: bool = False
    counters: Counters = field(default_factory=Counters)
    trace: list[tuple[State, State, int]] = field(default_factory=list[tuple[State, State, int]])

    def __post_init__(self) -> None:
        self.mode = self.policy.initial_mode
        self.state = state_of(self.mode)
        self.since = self.newest = self.now

    # ------------------------------------------------------------------ reading

    @property
    def recording(self) -> bool:
        return self.ramping or self.state in (State.CLOSED, State.METRICS_ONLY)

    @property
    def probing(self) -> bool:
        return self.state is State.HALF_OPEN and not self.ramping

    @property
    def backoff(self) -> Backoff:
        wait = self.policy.wait_duration_in_open
        return wait if isinstance(wait, Backoff) else Backoff(wait, 1.0, wait, 0.0)

    @property
    def live(self) -> list[Call]:
        """Calls of this era that have neither settled nor been given up."""
        return [call for call in self.calls if call.era == self.era and not call.settled and not call.lost]

    @property
    def in_flight(self) -> int:
        return sum(not call.settled for call in self.calls)

    @property
    def share(self) -> float:
        """L10: p(t) = initial + (1 - initial) * (t - t0) / D, at most 1."""
        ramp = self.policy.recovery_ramp
        if ramp is None:
            return 1.0
        elapsed = max(0.0, self.now - self.since)
        return min(1.0, ramp.initial + (1.0 - ramp.initial) * elapsed / ramp.duration)

    @property
    def minimum(self) -> float:
        minimum = self.policy.minimum_number_of_calls
        return max(min(3, minimum), minimum * self.share) if self.ramping else minimum

    @property
    def window(self) -> list[Record]:
        """L1: the outcomes in the window now."""
        shape = self.policy.sliding_window
        if isinstance(shape, CountWindow):
            return self.records[-shape.size :]
        if isinstance(shape, TimeWindow):
            width = shape.seconds / shape.buckets
            current = math.floor(max(self.now, self.newest) / width)
            return [r for r in self.records if current - shape.buckets < math.floor(r.at / width) <= current]
        return []

    @property
    def overdue(self) -> int:
        """L3: running calls past the slow threshold."""
        slow = self.policy.slow_call_duration_threshold
        if slow is None or not self.policy.count_in_flight_slow or not self.recording:
            return 0
        return sum(self.now - call.started >= slow for call in self.live)

    @property
    def in_a_row(self) -> int:
        failures = 0
        for answer in reversed(self.answers):
            if answer is not Verdict.FAILURE:
                break
            failures += 1
        return failures

    def conditions(self) -> set[str]:
        """L2: the conditions that are met now."""
        policy, window, overdue = self.policy, self.window, self.overdue
        n, failures, slow = len(window), sum(r.failed for r in window), sum(r.slow for r in window)
        met: set[str] = set()
        if n >= self.minimum and failures >= policy.failure_rate_threshold * n:
            met.add("failure_rate_threshold")
        timed, total = policy.slow_call_duration_threshold is not None, n + overdue
        if timed and total >= self.minimum and slow + overdue >= policy.slow_call_rate_threshold * total:
            met.add("slow_call_rate_threshold")
        if policy.consecutive_failures is not None and self.in_a_row >= policy.consecutive_failures:
            met.add("consecutive_failures")
        return met

    def stale(self) -> bool:
        """Whether the next admission would first change the state for reasons of time alone."""
        if self.now >= self.mode_until or (self.state is State.OPEN and self.now >= self.until):
            return True
        if self.probing:
            return self.now - self.since >= self.policy.max_wait_duration_in_half_open
        return self.ramping and self.share >= 1.0

    def view(self) -> tuple[State, str | None]:
        """L6: the state that a call would find now."""
        if self.now >= self.mode_until:
            return state_of(self.policy.initial_mode), None
        if self.state is State.OPEN and self.now >= self.until:
            return State.HALF_OPEN, "probing"
        if self.probing and self.stale():
            if self.policy.on_half_open_timeout == "open":
                return State.OPEN, None
            return (State.CLOSED, None) if self.policy.recovery_ramp is None else (State.HALF_OPEN, "ramping")
        if self.ramping:
            return (State.CLOSED, None) if self.stale() else (State.HALF_OPEN, "ramping")
        return self.state, "probing" if self.probing else None

    def moments(self) -> list[float]:
        """Every time at which something is due: what random times would rarely hit."""
        policy, due = self.policy, [self.mode_until, self.until]
        if self.probing:
            due.append(self.since + policy.max_wait_duration_in_half_open)
            due += [call.started + policy.max_probe_duration for call in self.live]
        if self.ramping and policy.recovery_ramp is not None:
            due.append(self.since + policy.recovery_ramp.duration)
        if self.state is State.CLOSED:
            due.append(self.since + self.backoff.max)
        if policy.slow_call_duration_threshold is not None:
            due += [call.started + policy.slow_call_duration_threshold for call in self.live]
        if isinstance(policy.sliding_window, TimeWindow) and self.records:
            width = policy.sliding_window.seconds / policy.sliding_window.buckets
            due.append((math.floor(self.records[0].at / width) + policy.sliding_window.buckets) * width)
        return [moment for moment in due if self.now < moment < math.inf]

    # ------------------------------------------------------------------ calls

    def admit(self) -> Call | None:
        if self.now >= self.mode_until:
            self.set_mode(self.policy.initial_mode)
        if self.state is State.OPEN and self.now >= self.until:
            self.go(State.HALF_OPEN)
        if self.probing and self.now - self.since >= self.policy.max_wait_duration_in_half_open:
            self.open() if self.policy.on_half_open_timeout == "open" else self.close()
        if not (self.admit_probe() if self.probing else self.admit_call()):
            self.counters.rejected += 1
            return None
        call = Call(self.era, self.now)
        self.calls.append(call)
        self.counters.admitted += 1
        return call

    def admit_probe(self) -> bool:
        policy = self.policy
        lost = [call for call in self.live if self.now - call.started >= policy.max_probe_duration]
        for call in lost:  # L7
            call.lost = True
            self.lost_in_a_row += 1
            self.counters.lost += 1
        if lost and self.lost_in_a_row >= policy.permitted_calls_in_half_open:
            self.open()
            return False
        live = len(self.live)  # L5
        return (
            live < policy.max_concurrent_probes
            and len(self.probes) + live < policy.permitted_calls_in_half_open
        )

    def admit_call(self) -> bool:
        if self.state in (State.OPEN, State.FORCED_OPEN):
            return False
        if self.ramping and self.share >= 1.0:
            self.finish_ramp()
        if (
            self.recording
            and self.policy.slow_call_duration_threshold is not None
            and self.policy.count_in_flight_slow
        ):
            self.newest = max(self.newest, self.now)
            if self.evaluate():
                return False
        if self.ramping:  # L10
            self.acc += self.share
            if self.acc < 1.0:
                return False
            self.acc -= 1.0
        return True

    def settle(self, call: Call, verdict: Verdict | Trip) -> bool:
        if call.settled:
            return False
        call.settled = True
        if call.era != self.era or call.lost:  # L4
            self.counters.late += 1
            return False
        limit = self.policy.slow_call_duration_threshold
        slow = limit is not None and max(0.0, self.now - call.started) >= limit
        outcome = Verdict.FAILURE if isinstance(verdict, Trip) else verdict
        if outcome is Verdict.CANCELLED and self.policy.on_cancel == "failure":
            outcome = Verdict.FAILURE
        self.count(outcome, slow)
        gave_up = outcome is Verdict.CANCELLED and slow and self.policy.on_cancel == "slow_if_exceeded"
        trip = verdict if isinstance(verdict, Trip) else None
        if self.probing:
            self.settle_probe(Verdict.FAILURE if gave_up else outcome, slow, trip)
        elif self.recording:
            self.settle_call(outcome, slow, gave_up, trip)
        return True

    def drop(self, call: Call) -> bool:
        """Take an admission back."""
        if call.settled:
            return False
        call.settled = True
        if call.era != self.era or call.lost:
            self.counters.late += 1
            return False
        self.counters.admitted -= 1
        return True

    def settle_call(self, outcome: Verdict, slow: bool, gave_up: bool, trip: Trip | None) -> None:
        self.newest = max(self.newest, self.now)
        if outcome in (Verdict.SUCCESS, Verdict.FAILURE):
            self.answers.append(outcome)
        if outcome in (Verdict.SUCCESS, Verdict.FAILURE) or gave_up:
            self.records.append(Record(self.newest, outcome is Verdict.FAILURE, slow))
        if self.ramping and self.share >= 1.0:
            self.finish_ramp()
        self.evaluate(trip)

    def settle_probe(self, outcome: Verdict, slow: bool, trip: Trip | None) -> None:
        policy = self.policy
        permitted = policy.permitted_calls_in_half_open
        if outcome is Verdict.CANCELLED:
            return
        self.lost_in_a_row = 0
        if outcome is Verdict.INCONCLUSIVE:
            self.inconclusive_in_a_row += 1
            if self.inconclusive_in_a_row >= permitted:
                self.open()
            return
        self.inconclusive_in_a_row = 0
        if outcome is Verdict.IGNORED:
            return
        self.probes.append((outcome, slow))
        # L8: try every way in which the remaining probes may end.
        ends = {self.would_reopen(self.probes + rest) for rest in self.rests(permitted - len(self.probes))}
        if trip is not None or ends == {True}:
            self.open(trip)
        elif ends == {False}:
            self.close()

    @staticmethod
    def rests(count: int) -> list[list[tuple[Verdict, bool]]]:
        best, worst = (Verdict.SUCCESS, False), (Verdict.FAILURE, True)
        return [[worst] * bad + [best] * (count - bad) for bad in range(max(0, count) + 1)]

    def would_reopen(self, probes: list[tuple[Verdict, bool]]) -> bool:
        policy = self.policy
        n = policy.permitted_calls_in_half_open
        failures = sum(outcome is Verdict.FAILURE for outcome, _ in probes)
        slow = sum(slow for _, slow in probes) if policy.slow_call_duration_threshold is not None else 0
        return failures >= policy.failure_rate_threshold * n or (
            policy.slow_call_duration_threshold is not None and slow >= policy.slow_call_rate_threshold * n
        )

    def count(self, outcome: Verdict, slow: bool) -> None:
        names = {
            Verdict.SUCCESS: "succeeded",
            Verdict.FAILURE: "failed",
            Verdict.IGNORED: "ignored",
            Verdict.CANCELLED: "cancelled",
            Verdict.INCONCLUSIVE: "inconclusive",
        }
        setattr(self.counters, names[outcome], getattr(self.counters, names[outcome]) + 1)
        self.counters.slow += slow

    # ------------------------------------------------------------------ transitions

    def evaluate(self, trip: Trip | None = None) -> bool:
        if not self.conditions() and trip is None:
            return False
        if self.state is State.METRICS_ONLY:  # L11
            self.would_open += not self.told
            self.told = True
            return False
        self.open(trip)
        return True

    def open(self, trip: Trip | None = None) -> None:
        if self.state is State.CLOSED and self.now - self.since >= self.backoff.max:
            self.streak = 0  # L9
        self.streak += 1
        backoff = self.backoff
        wait = min(backoff.max, backoff.initial * backoff.multiplier ** (self.streak - 1))
        wait *= 1.0 - backoff.jitter * self.random()
        if trip is not None and trip.for_ is not None:
            wait = min(backoff.max, max(backoff.initial, trip.for_))
        self.go(State.OPEN)
        self.until = self.now + wait

    def close(self) -> None:
        if self.policy.recovery_ramp is None:
            self.streak = max(0, self.streak - 1)
            self.go(State.CLOSED)
        else:
            self.go(State.HALF_OPEN)
            self.ramping = True

    def finish_ramp(self) -> None:
        records, answers, newest = self.records, self.answers, self.newest
        ramp = self.policy.recovery_ramp
        over = self.now if ramp is None else min(self.now, self.since + ramp.duration)
        self.streak = max(0, self.streak - 1)
        self.go(State.CLOSED)
        self.since = over  # healthy since all calls could pass again, not since the next one came
        self.records, self.answers, self.newest = records, answers, newest

    def go(self, state: State) -> None:
        """Begin an era with nothing in it."""
        self.era += 1
        self.trace.append((self.state, state, self.era))
        self.state, self.ramping, self.since, self.until = state, False, self.now, math.inf
        self.records, self.answers, self.newest = [], [], self.now
        self.acc, self.probes, self.told = 0.0, [], False
        self.lost_in_a_row = self.inconclusive_in_a_row = 0

    def set_mode(self, mode: Mode, ttl: float | None = None) -> None:
        self.mode = mode
        self.mode_until = math.inf if ttl is None else self.now + ttl
        self.go(state_of(mode))

    def clear_mode(self) -> None:
        if self.mode is not self.policy.initial_mode or self.mode_until != math.inf:
            self.set_mode(self.policy.initial_mode)

    def reset(self) -> None:
        self.streak = 0
        self.set_mode(self.policy.initial_mode)

    def reload(self, policy: CircuitBreakerPolicy) -> None:
        """L16, for windows of one kind and the same buckets: the newest outcomes stay."""
        self.newest = max(self.newest, self.now) if self.recording else self.newest
        self.records = self.window
        self.policy = policy


def state_of(mode: Mode) -> State:
    return State.CLOSED if mode is Mode.ENABLED else State(mode.value)
