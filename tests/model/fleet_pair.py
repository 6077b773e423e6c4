"""The store of a fleet and the reference model, side by side.

``Shell`` is a circuit that decides nothing: whatever opens, closes, grants or counts probes is an operation
of the store. It is what a process of the fleet would be with no local machine, asking after every call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from cqrs.circuit_breaker import CircuitBreakerPolicy, Mode, Ramp, State, Trip, Verdict
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.wire import rules_of
from cqrs.circuit_breaker.window import make_window
from tests.fleet.coordination.servers import START_US, Message, Server
from tests.fleet.coordination.steps import acquire, override, report, reset, settle

from .pair import Pair
from .reference import Call, Counters, Model

SETTINGS = StoreSettings(namespace="model", quorum=0.0)


def for_store(policy: CircuitBreakerPolicy) -> CircuitBreakerPolicy:
    """Return a policy that a store can follow alone: it sees outcomes, not the calls that are running."""
    lease = policy.max_probe_duration  # nobody renews: a permit is lost when the model gives the probe up
    ramp = policy.recovery_ramp
    if ramp is not None and ramp.initial == 1.0:
        ramp = Ramp(
            ramp.duration, 0.5
        )  # over before it begins, for the engine; for the store it takes its time
    return policy.replace(
        count_in_flight_slow=False, initial_mode=Mode.ENABLED, permit_lease=lease, recovery_ramp=ramp
    )


@dataclass
class Lane:
    """What a process counts for itself in one epoch."""

    window: Any
    successes: int = 0
    credit: float = 0.0
    ramp_began: float | None = None


@dataclass
class Admission:
    """One call of the shell: with a permit if it is a probe."""

    era: int
    started: float
    permit: str = ""
    settled: bool = False


@dataclass
class Running:
    """One admitted call, as both know it."""

    admission: Admission
    call: Call


@dataclass
class Shell:
    """A circuit made of operations of the store."""

    policy: CircuitBreakerPolicy
    server: Server
    now: float
    view: Message = field(default_factory=dict[str, Any])
    read_at: float = 0.0
    promoted: int = 0  # ends of ramps: epochs of the model, but not of the store
    batch: int = 0
    permits: int = 0
    drawn: float = 0.0
    in_flight: int = 0
    leases: dict[str, float] = field(default_factory=dict[str, float])
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        long = {"report_us": 3600 * 1_000_000}  # its own figures are never too old
        self.rules = rules_of(self.policy, SETTINGS) | long
        self.lane = self._new_lane()
        self.view = {"inc": "", "ep": 0}
        self.ask({"op": "view"})

    def _new_lane(self) -> Lane:
        return Lane(make_window(self.policy.sliding_window, self.now))

    def ask(self, op: Message) -> Message:
        """Make one operation, and take over what it shows."""
        seen = [self.view["inc"], self.view["ep"]]
        common = {"id": "c", "name": "model", "seen": seen, "rnd": self.drawn, "rules": 0}
        request = {"node": "n", "inc": "i", "beat": 0, "stale_us": 1_000_000, "seen": ["", 0]}
        request |= {"rules": [self.rules], "ops": [{**common, **op}]}
        reply = self.server.exchange(request, START_US + round(self.now * 1e6))
        result: Message = reply["results"][0]
        assert "err" not in result, result
        self.view, self.read_at = result["view"], self.now
        if seen != [self.view["inc"], self.view["ep"]]:
            self.lane = self._new_lane()
            if self.view["ramp_us"] >= 0:
                self.lane.ramp_began = self.now - self.view["ramp_us"] / 1e6
        return result

    # ------------------------------------------------------------------ reading

    @property
    def era(self) -> int:
        epoch: int = self.view["ep"]
        return epoch + self.promoted

    @property
    def age(self) -> float:
        """Seconds since the view was read."""
        return self.now - self.read_at

    @property
    def left(self) -> float:
        seconds: float = self.view["left_us"] / 1e6
        return seconds - self.age

    @property
    def overridden(self) -> bool:
        left = self.view["ov_left_us"]
        return bool(self.view["ov"]) and (left < 0 or self.age < left / 1e6)

    @property
    def expired(self) -> bool:
        return bool(self.view["ov"]) and not self.overridden

    @property
    def share(self) -> float:
        ramp, began = self.policy.recovery_ramp, self.lane.ramp_began
        return 1.0 if ramp is None or began is None else ramp.share(self.now - began)

    def state(self) -> tuple[State, str | None]:
        """Return what a call would find now."""
        view, policy = self.view, self.policy
        ramped = (State.CLOSED, None) if policy.recovery_ramp is None else (State.HALF_OPEN, "ramping")
        if view["ov"]:
            return (State(view["ov"]) if self.overridden else State.CLOSED), None
        if view["st"] == "open" and self.left > 0:
            return State.OPEN, None
        age = view["age_us"] / 1e6 + self.age
        if view["st"] == "half_open" and age >= policy.max_wait_duration_in_half_open:
            return (State.OPEN, None) if policy.on_half_open_timeout == "open" else ramped
        if view["st"] != "closed":
            return State.HALF_OPEN, "probing"
        return (State.HALF_OPEN, "ramping") if self.share < 1.0 else (State.CLOSED, None)

    # ------------------------------------------------------------------ calls

    def admit(self) -> Admission | None:
        admission = self._admit()
        if admission is None:
            self.counters.rejected += 1
        else:
            self.counters.admitted += 1
            self.in_flight += 1
        return admission

    def _admit(self) -> Admission | None:
        if self.expired:
            self.ask({"op": "view"})
        if self.view["st"] == "open" and self.left > 0:
            return None
        if self.view["st"] != "closed":
            return self._admit_probe()
        return self._admit_call()

    def _admit_probe(self) -> Admission | None:
        self.permits += 1
        permit = f"p{self.permits}"
        before = self.view
        result = self.ask(acquire(permit))
        lost = self._lost(before, result)
        self.counters.lost += lost
        if lost or self.view["ep"] != before["ep"]:
            lease = self.policy.permit_lease
            held = {} if self.view["ep"] != before["ep"] else self.leases
            self.leases = {name: began for name, began in held.items() if self.now - began < lease}
        if result["granted"] == 1:
            self.leases[permit] = self.now
            return Admission(self.era, self.now, permit)
        return self._admit_call() if result["granted"] == 2 else None

    def _lost(self, before: Message, result: Message) -> int:
        """Return how many permits were given up: as many as are missing, or were when that opened it."""
        after = result["view"]
        if after["ep"] == before["ep"]:
            return int(before["lives"] + result["granted"] - after["lives"])
        if after["why"].endswith("were lost"):
            return sum(self.now - began >= self.policy.permit_lease for began in self.leases.values())
        return 0

    def _admit_call(self) -> Admission | None:
        if self.view["ov"] == "forced_open":
            return None
        self._promote()
        if self.share < 1.0:
            self.lane.credit += self.share
            if self.lane.credit < 1.0:
                return None
            self.lane.credit -= 1.0
        return Admission(self.era, self.now)

    def _promote(self) -> None:
        if self.lane.ramp_began is not None and self.share >= 1.0:
            self.ask({"op": "view"})
            assert self.view["ramp_us"] == -1
            self.lane.ramp_began = None
            self.promoted += 1

    def settle(self, admission: Admission, verdict: Verdict | Trip) -> bool:
        if not self._end(admission):
            return False
        limit = self.policy.slow_call_duration_threshold
        slow = limit is not None and self.now - admission.started >= limit
        trip = verdict if isinstance(verdict, Trip) else None
        outcome = Verdict.FAILURE if isinstance(verdict, Trip) else verdict
        if outcome is Verdict.CANCELLED and self.policy.on_cancel == "failure":
            outcome = Verdict.FAILURE
        gave_up = outcome is Verdict.CANCELLED and slow and self.policy.on_cancel == "slow_if_exceeded"
        trip_us = -1 if trip is None or trip.for_ is None else round(trip.for_ * 1e6)
        if admission.permit:
            said = Verdict.FAILURE if gave_up else outcome
            counts = said in (Verdict.SUCCESS, Verdict.FAILURE)
            op = settle(
                admission.permit, said, slow=int(slow and counts), trip=int(trip is not None), trip_us=trip_us
            )
            if not self.ask(op)["applied"]:
                self.counters.late += 1
                return False
            self.leases.pop(admission.permit)
        else:
            self._count(outcome, slow, gave_up)
            if not self.view["ov"]:
                self._promote()
                self._report(outcome, trip is not None, trip_us)
        name = {Verdict.SUCCESS: "succeeded", Verdict.FAILURE: "failed"}.get(outcome, str(outcome))
        setattr(self.counters, name, getattr(self.counters, name) + 1)
        self.counters.slow += slow
        return True

    def drop(self, admission: Admission) -> bool:
        if not self._end(admission):
            return False
        if admission.permit:
            if not self.ask(settle(admission.permit, "cancelled"))["applied"]:
                self.counters.late += 1
                return False
            self.leases.pop(admission.permit)
        self.counters.admitted -= 1
        return True

    def _end(self, admission: Admission) -> bool:
        """Return whether the call ends for the first time, and in its own epoch."""
        if admission.settled:
            return False
        admission.settled = True
        self.in_flight -= 1
        if admission.era == self.era:
            return True
        if admission.permit and not self.expired:  # the store is to find that out by itself
            seen_then = self.view
            assert self.ask(settle(admission.permit, "failure", trip=1))["applied"] == 0
            assert self.view["ep"] == seen_then["ep"]
        self.counters.late += 1
        return False

    def _count(self, outcome: Verdict, slow: bool, gave_up: bool) -> None:
        lane = self.lane
        lane.window.advance(self.now, lane.successes)
        if outcome is Verdict.SUCCESS and not slow:
            lane.successes += 1
        elif outcome in (Verdict.SUCCESS, Verdict.FAILURE) or gave_up:
            lane.window.add(lane.successes, failed=outcome is Verdict.FAILURE, slow=slow)

    def _report(self, outcome: Verdict, trip: bool, trip_us: int) -> None:
        counts = self.lane.window.counts(self.lane.successes)
        batch = (0, "")
        if self.policy.consecutive_failures is not None and outcome in (Verdict.SUCCESS, Verdict.FAILURE):
            self.batch += 1
            batch = (self.batch, "F" if outcome is Verdict.FAILURE else "S")
        op = report(counts.calls, counts.failures, counts.slow, trip=int(trip), trip_us=trip_us, batch=batch)
        assert self.ask(op)["taken"] == 1


class FleetPair(Pair):
    """The store, used through the shell, and the model."""

    def __init__(self, policy: CircuitBreakerPolicy, start: float, server: Server) -> None:
        policy = for_store(policy)
        self.drawn = 0.0
        self.shell = Shell(policy, server, start)
        self.model = Model(policy, start, lambda: self.drawn)

    may_step_back = False
    """The store moves what it finds in the future to the present (F5); the model's clock is monotonic."""

    def start(self) -> Any:
        self.shell.drawn = self.drawn
        call, admission = self.model.admit(), self.shell.admit()
        assert (call is None) is (admission is None), "one admits what the other rejects"
        if call is None or admission is None:
            return None
        return Running(admission, call)

    def end(self, running: Any, verdict: Verdict | Trip, by_hand: bool) -> None:
        self.shell.drawn = self.drawn
        assert self.shell.settle(running.admission, verdict) is self.model.settle(running.call, verdict)

    def drop(self, running: Any) -> None:
        assert self.shell.drop(running.admission) is self.model.drop(running.call)

    def call(self, verdict: Verdict, seconds: float) -> None:
        running = self.start()
        if running is not None:
            self.advance(seconds)
            self.end(running, verdict, by_hand=True)

    def advance(self, seconds: float) -> None:
        self.model.now += seconds
        self.shell.now = self.model.now

    def advance_to(self, moment: float) -> None:
        self.advance(max(0.0, moment - self.model.now))

    def override(self, mode: Mode | None, ttl: float | None) -> None:
        """Set a mode, or clear it; "enabled" is none to the store."""
        self._notice()
        if mode is None or mode is Mode.ENABLED:
            self.shell.ask(override(""))
            self.model.clear_mode()
        else:
            self.shell.ask(override(mode.value, -1 if ttl is None else ttl))
            self.model.set_mode(mode, ttl)

    def reset(self) -> None:
        self._notice()
        self.shell.ask(reset())
        if self.shell.view["inc"]:  # to the store a circuit without a past has nothing to forget
            self.model.reset()

    def _notice(self) -> None:
        """Let a call find out what is over by now: the store does so by itself, the model only then."""
        if self.model.now >= self.model.mode_until or (self.model.ramping and self.model.share >= 1.0):
            self.call(Verdict.IGNORED, 0.0)

    def check(self) -> None:
        model, shell = self.model, self.shell
        assert (*shell.state(), shell.era) == (*model.view(), model.era)
        assert shell.in_flight == model.in_flight
        assert shell.counters == model.counters
        if model.stale():
            return
        if model.state is State.OPEN:
            assert shell.left == model.until - model.now
            assert shell.view["streak"] == model.streak
        if model.state is State.FORCED_OPEN and model.mode_until != math.inf:
            assert shell.view["ov_left_us"] / 1e6 - shell.age == model.mode_until - model.now
        if model.probing:
            ended = [outcome is Verdict.SUCCESS for outcome, _ in model.probes]
            assert (shell.view["ok"], shell.view["bad"]) == (ended.count(True), ended.count(False))
            assert shell.view["lives"] == len(model.live)
