"""The state machine of one circuit: the only place where calls are admitted and counted.

Pure: no I/O, no clock, no lock of its own. Every method that changes something requires the lock of the shell
around it, takes the time as an argument, and leaves what happened in ``events`` for the shell to deliver.
The letters in comments name the invariants that the tests carry.
"""

from __future__ import annotations

from cqrs.circuit_breaker import conditions
from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.events import ProbesLost, WouldOpen
from cqrs.circuit_breaker.phases import OVERDUE, RUNNING, SETTLED, Grant, HalfOpen, Lane, Probe, Shut
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.transitions import Transitions
from cqrs.circuit_breaker.verdict import CANCELLED, FAILURE, IGNORED, INCONCLUSIVE, SUCCESS, Trip, Verdict
from cqrs.circuit_breaker.window import NO_COUNTS


class Machine(Transitions):
    """State, permits and counts of one circuit."""

    __slots__ = ()

    # ------------------------------------------------------------------ admission

    def admit(self, now: float) -> Grant | None:
        """Grant a permit or return ``None``: rejected."""
        self._expire_override(now)
        phase = self.phase
        if isinstance(phase, Shut):
            if now < phase.until:
                return None
            half = HalfOpen(phase.era + 1, now, phase.last_failure)
            half.concurrent = phase.concurrent
            self._become(half, now, "wait in open is over")
            phase = self.phase
        if isinstance(phase, HalfOpen):
            if now - phase.since < self.policy.max_wait_duration_in_half_open:
                return self._grant_probe(phase, now)
            self._decide_without_probes(now)  # L6
            phase = self.phase
        return self._grant(phase, now) if isinstance(phase, Lane) else None

    def admit_or_reject(self, now: float) -> Grant | CircuitOpenError:
        """Grant a permit, or count a rejection and return its error."""
        grant = self.admit(now)
        if grant is None:
            self.own_totals().rejected += 1
            return self.rejection(now)
        return grant

    def _grant(self, lane: Lane, now: float) -> Grant | None:
        if lane.ramping and conditions.ramp_share(self.policy, lane, now) >= 1.0:
            lane = self._promote(lane, now)
        if lane.linked:
            self._mark_overdue(lane, now)
            lane.window.advance(now, lane.successes)
            if self._evaluate(lane, now):
                return None
        if lane.ramping:  # L10: error diffusion, no coin flips
            lane.credit += conditions.ramp_share(self.policy, lane, now)
            if lane.credit < 1.0 - 1e-9:
                return None
            lane.credit -= 1.0
        permit = Grant(lane, now)
        lane.admitted += 1
        if lane.linked:
            lane.tail.next = permit
            lane.tail = permit
        return permit

    def _grant_probe(self, half: HalfOpen, now: float) -> Grant | None:
        if self._take_back_lost(half, now):
            return None
        policy = self.policy
        live = len(half.live)
        most = policy.max_concurrent_probes if half.concurrent is None else half.concurrent
        if live >= most or half.decided + live >= policy.permitted_calls_in_half_open:
            return None
        half.granted += 1
        probe = Probe(half, now, half.granted, policy.effective_probe_timeout)
        half.live[probe.number] = probe
        self.own_totals().admitted += 1
        return probe

    def _take_back_lost(self, half: HalfOpen, now: float) -> bool:
        """Reclaim the permits of probes that did not finish (L7); return whether that opened the circuit."""
        longest = self.policy.max_probe_duration
        lost = [number for number, permit in half.live.items() if now - permit.started >= longest]
        if not lost:
            return False
        for number in lost:
            del half.live[number]
        half.lost += len(lost)
        self.own_totals().lost += len(lost)
        self._tell(ProbesLost(self.name, half.era, now, len(lost)))
        if half.lost < self.policy.permitted_calls_in_half_open:
            return False
        self._open(now, f"{half.lost} probes in a row were lost", {"lost": half.lost})
        return True

    def rejection(self, now: float) -> CircuitOpenError:
        """Return a fresh error for a call that ``admit`` has just rejected."""
        phase = self.phase
        if isinstance(phase, Shut):
            return phase.rejection(now)
        if isinstance(phase, HalfOpen):
            oldest = min((permit.started for permit in phase.live.values()), default=now)
            wait = min(1.0, max(0.0, oldest + self.policy.max_probe_duration - now))
            reason = f"{len(phase.live)} of {self.policy.permitted_calls_in_half_open} probes are running"
            return CircuitOpenError(
                self.name, State.HALF_OPEN.value, reason, wait, phase.last_failure, "local", phase.era
            )
        ramp = self.policy.recovery_ramp
        left = 0.0 if ramp is None else max(0.0, phase.since + ramp.duration - now)
        reason = f"recovering, {conditions.ramp_share(self.policy, phase, now):.0%} of the calls pass"
        return CircuitOpenError(
            self.name, phase.state.value, reason, min(1.0, left), None, "local", phase.era
        )

    # ------------------------------------------------------------------ settlement

    def settle(self, now: float, token: Grant | Lane, verdict: Verdict | Trip) -> bool:
        """Record the end of a call; ``False`` when its era is over, or it was settled before (L4)."""
        if isinstance(token, Grant):
            if token.mark == SETTLED:
                return False
            overdue, token.mark = token.mark == OVERDUE, SETTLED
            phase: Lane | HalfOpen = token.phase
            slow_after = self.policy.slow_call_duration_threshold
            slow = slow_after is not None and token.duration(now) >= slow_after
        else:
            phase, slow, overdue = token, False, False
        if phase is not self.phase or (isinstance(phase, HalfOpen) and not self._give_back(phase, token)):
            self.own_totals().late += 1
            return False
        trip = verdict if isinstance(verdict, Trip) else None
        outcome = FAILURE if isinstance(verdict, Trip) else verdict
        if outcome is CANCELLED and self.policy.on_cancel == "failure":
            outcome = FAILURE
        if outcome is not SUCCESS or slow:
            self.own_totals().add(outcome, slow)
        if isinstance(phase, HalfOpen):
            self._settle_probe(phase, now, outcome, slow, trip)
        else:
            if overdue:  # L3: the mark is replaced by the outcome
                phase.overdue -= 1
            self._settle_in_lane(phase, now, outcome, slow, trip)
        return True

    def withdraw(self, _: float, token: Grant | Lane) -> bool:
        """Take an admission back as if it had not happened: the call was never made."""
        phase = token.phase if isinstance(token, Grant) else token
        if isinstance(token, Grant):
            if token.mark == SETTLED:
                return False
            overdue, token.mark = token.mark == OVERDUE, SETTLED
            if overdue and isinstance(phase, Lane):
                phase.overdue -= 1
        if phase is not self.phase or (isinstance(phase, HalfOpen) and not self._give_back(phase, token)):
            self.own_totals().late += 1
            return False
        if isinstance(phase, Lane):
            phase.admitted -= 1
        else:
            self.own_totals().admitted -= 1
        return True

    @staticmethod
    def _give_back(half: HalfOpen, token: Grant | Lane) -> bool:
        return isinstance(token, Grant) and half.live.pop(token.number, None) is not None

    def _counts_as_slow(self, outcome: Verdict, slow: bool) -> bool:
        """Whether a cancelled call says that the dependency is slow: its caller gave up late."""
        return outcome is CANCELLED and slow and self.policy.on_cancel == "slow_if_exceeded"

    def _settle_in_lane(
        self, lane: Lane, now: float, outcome: Verdict, slow: bool, trip: Trip | None
    ) -> None:
        lane.drop_settled()
        if not lane.records:
            if outcome is SUCCESS:
                lane.successes += 1
            return
        if lane.linked:
            self._mark_overdue(lane, now)
        lane.window.advance(now, lane.successes)
        if outcome is SUCCESS:
            lane.consecutive = 0
            if slow:
                self.own_totals().succeeded += 1
                lane.window.add(lane.successes, failed=False, slow=True)
            else:
                lane.successes += 1
        elif outcome is FAILURE:
            lane.consecutive += 1
            lane.window.add(lane.successes, failed=True, slow=slow)
        elif self._counts_as_slow(outcome, slow):
            lane.window.add(lane.successes, failed=False, slow=True)
        if lane.ramping and conditions.ramp_share(self.policy, lane, now) >= 1.0:
            lane = self._promote(lane, now)
        self._evaluate(lane, now, trip)

    def _settle_probe(
        self, half: HalfOpen, now: float, outcome: Verdict, slow: bool, trip: Trip | None
    ) -> None:
        policy = self.policy
        if self._counts_as_slow(outcome, slow):
            outcome = FAILURE  # evidence against recovery, never for it
        if outcome is CANCELLED:
            return
        half.lost = 0
        if outcome is INCONCLUSIVE:
            half.inconclusive += 1
            if half.inconclusive >= policy.permitted_calls_in_half_open:
                evidence = {"inconclusive": half.inconclusive}
                self._open(now, f"{half.inconclusive} probes in a row never reached it", evidence)
            return
        half.inconclusive = 0
        if outcome is IGNORED:
            return
        if outcome is SUCCESS:
            half.good += 1
            self.own_totals().succeeded += 1
        else:
            half.bad += 1
        half.slow += slow
        figures = {"succeeded": half.good, "failed": half.bad, "slow": half.slow}
        why = "a call asked for it" if trip else conditions.probes_say_open(policy, half)
        if why is not None:
            self._open(now, why, figures, trip)
        elif conditions.probes_say_close(policy, half):
            self._close(
                now, f"{half.good} of {policy.permitted_calls_in_half_open} probes succeeded", figures
            )

    def _mark_overdue(self, lane: Lane, now: float) -> None:
        """Count running calls that passed the slow threshold (L3); ``lane.head`` is the cursor."""
        while True:
            # A quick success may move the head too: each round is free of calls, and reads it anew.
            passed = lane.head
            node = passed.next
            if node is None:
                return
            if node.mark == RUNNING and node.answered is None:
                if now - node.started < lane.slow_after:
                    return
                node.mark = OVERDUE
                lane.overdue += 1
            lane.head = node
            passed.next = None

    def _evaluate(self, lane: Lane, now: float, trip: Trip | None = None) -> bool:
        """Open the circuit if the counts justify it (L2); return whether they do."""
        policy = self.policy
        window = lane.window
        if window is NO_COUNTS and trip is None and not conditions.row_met(policy, lane.consecutive):
            if lane.watch is not (lane.consecutive > 0 or self.keen):
                lane.set_watch(not lane.watch)
            return False
        minimum = policy.minimum_number_of_calls
        if lane.ramping:
            minimum = conditions.minimum_calls(policy, lane, now)
        while True:
            successes = lane.successes
            counts = window.counts(successes)
            why = conditions.why_open(policy, counts, lane.overdue, lane.consecutive, minimum)
            if why is not None or trip is not None:
                break
            bad = counts.failures or counts.slow or lane.overdue
            few = counts.calls + lane.overdue < minimum
            # A success can open only by completing the minimum; of failures in a row it must be the end.
            watch = lane.consecutive > 0 or self.keen or bool(bad and few)
            if watch is lane.watch:
                return False
            lane.set_watch(watch)
            if not watch or lane.successes == successes:
                return False
            # A quick success came before it was watched: it may have completed the minimum.
        figures = conditions.figures(policy, counts, lane.overdue, lane.consecutive, minimum)
        why = why or "a call asked for it"
        if lane.state is State.METRICS_ONLY:  # L11
            lane.set_watch(lane.consecutive > 0)
            if not lane.would_open:
                lane.would_open = True
                self._tell(WouldOpen(self.name, lane.era, now, why, figures))
            return False
        self._open(now, why, figures, trip)
        return True
