"""The event loop: calls arrive, wait, are worked on and end, in virtual time."""

from __future__ import annotations

import functools
import math
import random

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitOpenError
from cqrs.circuit_breaker.fleet.candidate import Candidate
from cqrs.circuit_breaker.fleet.gate import ATTEMPTS
from cqrs.simulation.agenda import Agenda, VirtualClock
from cqrs.simulation.calls import Call, End, arrivals
from cqrs.simulation.dependency import Dependency
from cqrs.simulation.network import VirtualStore
from cqrs.simulation.process import LocalProcess, Process, Unguarded
from cqrs.simulation.scenario import Phase, Scenario
from cqrs.simulation.shared import SharedProcess, quiet
from cqrs.simulation.store import SharedStore
from cqrs.simulation.tally import Tally


class Engine:
    """One run of one policy; ``policy=None`` is a run without circuit breakers."""

    def __init__(
        self,
        policy: CircuitBreakerPolicy | None,
        scenario: Scenario,
        processes: int,
        seed: int,
        store: SharedStore | None = None,
    ) -> None:
        self._scenario = scenario
        self._arrivals = arrivals(scenario, processes, seed)
        self._clock = VirtualClock()
        self._agenda = Agenda(self._clock)
        self.dependency = Dependency(processes, scenario.phases[0])
        self.tally = Tally(scenario.duration)
        self.store: VirtualStore | None = None
        if policy is not None and store is not None:
            self.store = VirtualStore(store, self._agenda, scenario.duration, seed)
        self.processes = self._processes(policy, processes, seed)
        for process in self.processes:
            if process.history.closed_at is None:  # its policy forces it open
                self.tally.circuit(0.0, was=(True, False), closed=False, is_open=process.history.is_open)
        self._serving = False

    def _processes(
        self, policy: CircuitBreakerPolicy | None, processes: int, seed: int
    ) -> list[LocalProcess] | list[SharedProcess] | list[Unguarded]:
        jitter = random.Random(f"holdfast jitter {seed}").random
        names = [f"process-{number}" for number in range(processes)]
        if policy is None:
            return [Unguarded() for _ in names]
        store = self.store
        if store is None:
            return [LocalProcess(name, policy, self._clock, jitter) for name in names]
        return [SharedProcess(name, policy, self._clock, jitter, store, self._changed) for name in names]

    def run(self) -> None:
        """Let all phases pass, then the calls that are still under way end."""
        scenario, clock, agenda = self._scenario, self._clock, self._agenda
        for start, phase in zip(scenario.starts, scenario.phases, strict=True):
            agenda.plan(start, functools.partial(self._begin, phase))
        with quiet():
            for call in self._arrivals:
                agenda.run(call.arrived)
                clock.now = call.arrived
                self._arrive(call)
            agenda.run(math.inf)

    def _begin(self, phase: Phase) -> None:
        self.dependency.begin(phase, self._clock.now)

    # ------------------------------------------------------------------ the caller's side

    def _arrive(self, call: Call) -> None:
        process = self.processes[call.process]
        try:
            token = call.token = process.enter()
        except CircuitOpenError:
            self._reject(call)
            return
        if token.waits:
            self._ask(call, token, 1)
        else:
            self._send(call)

    def _reject(self, call: Call) -> None:
        call.token = None
        self.tally.rejected(call, self._should_pass(call), self._clock.now)
        self._look(self.processes[call.process])

    def _should_pass(self, call: Call) -> bool:
        return self.dependency.phase.healthy and not self.dependency.has_fault(call.process)

    def _ask(self, call: Call, token: Candidate, attempt: int) -> None:
        """Let a call wait for the store's answer, as long as the gate has it wait."""
        now, agenda, store, deadline = self._clock.now, self._agenda, self.store, self._scenario.deadline
        assert store is not None  # only a shared circuit makes calls wait
        go_on = functools.partial(self._go_on, call, token, attempt)
        token.on_decided(lambda: agenda.plan(self._clock.now, go_on))
        leaves = math.inf if deadline is None else call.arrived + deadline
        agenda.plan(min(now + store.shared.command_timeout, max(now, leaves)), go_on)
        self._look(self.processes[call.process])

    def _go_on(self, call: Call, token: Candidate, attempt: int) -> None:
        process, deadline = self.processes[call.process], self._scenario.deadline
        if call.token is not token or not token.waits:
            return  # it was answered before, or gave up
        assert isinstance(process, SharedProcess)
        if deadline is not None and self._clock.now >= call.arrived + deadline and process.leave(token):
            self._reject(call)  # its caller has gone, and nothing was sent
            return
        try:
            after = call.token = process.conclude(token, attempt)
        except CircuitOpenError:
            self._reject(call)
            return
        if after.waits and isinstance(after, Candidate) and attempt < ATTEMPTS:
            self._ask(call, after, attempt + 1)
        else:
            self._send(call)

    def _send(self, call: Call) -> None:
        process = self.processes[call.process]
        call.began = self._clock.now
        call.error = self.dependency.phase.error
        self.tally.sent(call, self._should_pass(call), probe=call.token.kind == "probe")
        self._look(process)
        capacity = self.dependency.phase.capacity
        if capacity is None and not self.dependency.queue:
            self._work(call)
        elif capacity is not None and self.dependency.is_full(capacity):
            self._end(call, End.FAILED)
        else:
            self.dependency.queue.append(call)
            leaves, end = self._patience(call)
            if leaves < math.inf:
                self._agenda.plan(leaves, lambda: self._end(call, end))
            if not self._serving:
                self._serve()

    def _patience(self, call: Call) -> tuple[float, End]:
        """Return until when the caller waits, and what it calls it when nobody answered."""
        scenario = self._scenario
        client = call.began + min(
            math.inf if scenario.timeout is None else scenario.timeout,
            math.inf if call.token.limit is None else call.token.limit,
        )
        deadline = math.inf if scenario.deadline is None else call.arrived + scenario.deadline
        return (client, End.TIMED_OUT) if client <= deadline else (deadline, End.CANCELLED)

    def _end(self, call: Call, end: End) -> None:
        if call.ended:
            return
        call.ended = True
        if end is End.ANSWERED:
            self.dependency.warm(self._clock.now)
        process = self.processes[call.process]
        self.tally.ended(call, end, self._clock.now)
        process.settle(call.token, end, call.error)
        self._look(process)

    # ------------------------------------------------------------------ what becomes of the circuits

    def _look(self, process: Process | Unguarded) -> None:
        history = process.history
        was_closed, was_open = history.closed_at is not None, history.is_open
        now = self._clock.now
        process.look(now)
        closed, is_open = history.closed_at is not None, history.is_open
        if closed is not was_closed or is_open is not was_open:
            self.tally.circuit(now, was=(was_closed, was_open), closed=closed, is_open=is_open)

    def _changed(self, process: SharedProcess) -> None:
        """Note what others have done to a circuit, and that a ramp will end without any call."""
        self._look(process)
        now = self._clock.now
        if process.degraded is not process.counted_as_degraded:
            process.counted_as_degraded = process.degraded
            self.tally.degraded(now, process.degraded)
        ends = process.ramp_ends
        if ends is not None and ends > now:
            self._agenda.plan(ends, functools.partial(self._look, process))

    # ------------------------------------------------------------------ the dependency's side

    def _work(self, call: Call) -> None:
        """Begin to work on a call: its answer is fixed from here on."""
        now = self._clock.now
        ready = now + self.dependency.phase.response_time.draw(call.pace)
        end = End.FAILED if self.dependency.fails(call) else End.ANSWERED
        leaves, gives_up = self._patience(call)
        if leaves < ready:
            ready, end = max(now, leaves), gives_up
        self._agenda.plan(ready, lambda: self._end(call, end))

    def _serve(self) -> None:
        """Take the next call from the queue, and come back when there is room for another."""
        queue = self.dependency.queue
        if not queue:
            self._serving = False
            return
        self._serving = True
        call = queue.popleft()
        if not call.ended:  # else nobody waits for it any more, but the work is done all the same
            self._work(call)
        now = self._clock.now
        self._agenda.plan(now + self.dependency.interval(now), self._serve)
