"""The shell of a shared circuit: what ``Gate`` is to a local one.

While the fleet is closed every call goes the local way. Behind a barrier most calls are rejected by a look at
it; one call at a time asks the store, and only that one ever waits, at most ``command_timeout`` (F1, F7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.fleet.candidate import GONE, GRANTED, REFUSED, Candidate
from cqrs.circuit_breaker.fleet.machine import Ask, SharedMachine
from cqrs.circuit_breaker.fleet.view import RAMPING, FleetView
from cqrs.circuit_breaker.gate import Gate, Token
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.circuit_breaker.phases import Grant
from cqrs.circuit_breaker.verdict import CANCELLED, FAILURE, Trip, Verdict

ATTEMPTS = 3
"""How often a call enters anew because the fleet has moved on while it asked."""


class Fleet(Protocol):
    """What a gate needs of its process's part in the fleet."""

    @property
    def degraded(self) -> bool:
        """Whether the store has not answered for too long."""
        ...

    @property
    def patience(self) -> float:
        """Seconds that a candidate waits for the store."""
        ...

    @property
    def random(self) -> Callable[[], float]:
        """Numbers in [0, 1)."""
        ...

    def touch(self, gate: FleetGate, urgent: bool) -> None:
        """Report on a circuit with the next exchange, or at once."""
        ...

    def acquire(self, gate: FleetGate, candidate: Candidate) -> None:
        """Ask for a permit; the candidate is decided later, or has been when this returns."""
        ...

    def settle(self, gate: FleetGate, candidate: Candidate, verdict: Verdict | Trip, slow: bool) -> None:
        """Report the end of a probe."""
        ...


class FleetGate(Gate):
    """Admission and settlement for one shared circuit."""

    __slots__ = ("fleet", "identity", "shared")

    def __init__(
        self,
        machine: SharedMachine,
        clock: Callable[[], float],
        hubs: tuple[ListenerHub, ...],
        fleet: Fleet,
        identity: str,
    ) -> None:
        super().__init__(machine, clock, hubs)
        self.shared = machine
        self.fleet = fleet
        self.identity = identity

    # ------------------------------------------------------------------ admission

    def enter_locked(self) -> Grant:
        machine = self.shared
        barrier, ends = machine.barrier, machine.mode_until
        over = ends is not None and self.clock() >= ends  # what it kept down may stand up again: ask() looks
        if barrier is None and not over:
            try:
                return super().enter_locked()
            finally:
                if machine.dirty:
                    self.touch()
        answer: Ask | Grant | CircuitOpenError | None
        if barrier is not None and barrier.kind is RAMPING:
            answer = self._change(machine.admit_ramping)
        else:
            fleet = self.fleet
            answer = self._change(machine.ask, fleet.degraded, fleet.random, 1.0 + 2 * fleet.patience)
        if isinstance(answer, Ask):
            candidate = Candidate(answer, self.clock(), machine.policy.effective_probe_timeout)
            self.fleet.acquire(self, candidate)
            return candidate
        return self._admitted_or_raise(answer)

    def complete(self, token: Token) -> Token:
        for _ in range(ATTEMPTS):
            if not isinstance(token, Candidate):
                return token
            try:
                token.wait(self.fleet.patience)
            except BaseException:
                self.leave_unanswered(token)
                raise
            if self.concluded(token):
                return token
            token = self.enter()
        return self.give_up(token)

    async def complete_async(self, token: Token) -> Token:
        for _ in range(ATTEMPTS):
            if not isinstance(token, Candidate):
                return token
            try:
                await token.wait_async(self.fleet.patience)
            except BaseException:
                self.leave_unanswered(token)
                raise
            if self.concluded(token):
                return token
            token = self.enter()
        return self.give_up(token)

    def concluded(self, candidate: Candidate) -> bool:
        """Whether a candidate may pass; ``False``: the fleet has moved on, enter anew.

        A step of ``complete`` for callers that wait in another way; see ``Candidate.on_decided``.

        Raises:
            CircuitOpenError: it may not.
        """
        candidate.decide(REFUSED)  # unless the answer is there: nobody waits any longer
        if candidate.verdict is GRANTED:
            if candidate.local.phase is not self.machine.phase:
                self._renew_local(candidate)
            candidate.started = self.clock()  # what the store took is not the dependency's time
            candidate.waits = False
            return True
        super().withdraw(candidate.local)
        if candidate.verdict is REFUSED:
            self._refuse()
        return False

    def _renew_local(self, candidate: Candidate) -> None:
        """Admit a granted probe in the local era that has begun while it asked.

        Raises:
            CircuitOpenError: this process does not let it through; the permit is given back.
        """
        super().withdraw(candidate.local)
        try:
            candidate.local = self._admitted_or_raise(self._change(self.machine.admit_or_reject))
        except CircuitOpenError:
            if candidate.finish():
                self.fleet.settle(self, candidate, CANCELLED, False)
            raise

    def give_up(self, token: Token) -> Token:
        """Stop after the last attempt.

        Raises:
            CircuitOpenError: the token would have to wait again.
        """
        if isinstance(token, Candidate):
            self.leave_unanswered(token)
            self._refuse()
            return self._admitted_or_raise(self._change(self.machine.admit_or_reject))  # it has closed
        return token

    def _refuse(self) -> None:
        """Count and raise a rejection, unless the circuit has closed meanwhile.

        Raises:
            CircuitOpenError: always, but then.
        """
        machine = self.shared
        barrier = machine.barrier
        if barrier is None:
            return
        now = self.clock()
        machine.totals.rejected += 1
        error = barrier.rejection(now)
        if self.listened():
            self._report_rejection(error, now)
        raise error

    def leave_unanswered(self, candidate: Candidate) -> None:
        """The caller goes away: a permit that was granted is given back, one that will be too (fault 13)."""
        if not candidate.decide(GONE) and candidate.verdict is GRANTED:
            self.withdraw(candidate)  # not as cancelled: there was no call
        else:
            super().withdraw(candidate.local)

    # ------------------------------------------------------------------ settlement

    def settle(self, token: Token, verdict: Verdict | Trip, error: BaseException | None = None) -> bool:
        if not isinstance(token, Candidate):
            settled = super().settle(token, verdict, error)
            if self.shared.dirty:
                self.touch()
            return settled
        if not token.finish():
            return False
        policy = self.machine.policy
        duration, limit = token.duration(self.clock()), policy.slow_call_duration_threshold
        slow = limit is not None and duration >= limit
        settled = super().settle(token.local, verdict, error)
        if verdict is CANCELLED and (
            policy.on_cancel == "failure" or (slow and policy.on_cancel == "slow_if_exceeded")
        ):
            verdict = FAILURE
        self.fleet.settle(self, token, verdict, slow)
        return settled

    def withdraw(self, token: Token) -> bool:
        if not isinstance(token, Candidate):
            return super().withdraw(token)
        if not token.finish():
            return False
        withdrawn = super().withdraw(token.local)
        self.fleet.settle(self, token, CANCELLED, False)
        return withdrawn

    def answered(self, token: Token) -> None:
        super().answered(token)
        if isinstance(token, Candidate):
            token.local.answered = token.answered

    # ------------------------------------------------------------------ what the session brings

    def touch(self) -> None:
        """Hand what there is to report to the session; called without the lock."""
        self.fleet.touch(self, self.read(lambda _, __: self.shared.take_flags()))

    def report(self) -> dict[str, Any] | None:
        """Return what this process reports, if it is the store's business."""
        machine = self.shared
        return self.read(lambda _, now: machine.report(now))

    def troubled(self) -> bool:
        """Whether the store should go on hearing of this circuit."""
        machine = self.shared
        return self.read(lambda _, now: machine.troubled(now))

    def adopt(self, view: FleetView) -> None:
        """Take over a view of the fleet."""
        draw = self.fleet.random()
        machine = self.shared
        self.order(lambda now: machine.adopt(view, now, draw))

    def lose(self) -> None:
        """The store knows nothing of this circuit any more."""
        draw = self.fleet.random()
        machine = self.shared
        self.order(lambda now: machine.lose(now, draw))

    def next_may_ask(self, candidate: Candidate) -> None:
        """Let the next call ask at once: the permit of ``candidate``, who did not wait for it, is there."""
        machine = self.shared
        self.order(lambda now: machine.answer(now, candidate.barrier, candidate.seen, now))

    def answer(self, candidate: Candidate, verdict: str, wait: float) -> bool:
        """Take the store's answer to a candidate; ``False`` when nobody waits for it any more.

        Args:
            verdict: ``GRANTED``, ``REFUSED``, or ``GONE``: no permit is needed, or another state is in force.
            wait: seconds until another call may ask.
        """
        machine = self.shared
        until = self.clock() + wait
        self.order(lambda now: machine.answer(now, candidate.barrier, candidate.seen, until))
        return candidate.decide(verdict)
