"""The event loop: calls arrive, wait, are worked on and end, in virtual time."""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import random
from collections.abc import Callable

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitOpenError
from cqrs.simulation.calls import Call, End, arrivals
from cqrs.simulation.dependency import Dependency
from cqrs.simulation.process import Process, Unguarded, VirtualClock
from cqrs.simulation.scenario import Phase, Scenario
from cqrs.simulation.tally import Tally


class Engine:
    """One run of one policy; ``policy=None`` is a run without circuit breakers."""

    def __init__(
        self, policy: CircuitBreakerPolicy | None, scenario: Scenario, processes: int, seed: int
    ) -> None:
        self._scenario = scenario
        self._arrivals = arrivals(scenario, processes, seed)
        self._clock = VirtualClock()
        jitter = random.Random(f"holdfast jitter {seed}").random
        self.processes: list[Process] | list[Unguarded]
        if policy is None:
            self.processes = [Unguarded() for _ in range(processes)]
        else:
            self.processes = [
                Process(f"process-{number}", policy, self._clock, jitter) for number in range(processes)
            ]
        self.dependency = Dependency(processes, scenario.phases[0])
        self.tally = Tally(scenario.duration)
        for process in self.processes:
            if process.history.closed_at is None:  # its policy forces it open
                self.tally.circuit(0.0, closed=False)
        # (second, number that keeps ties in the order of planning, what happens)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._serving = False

    def run(self) -> None:
        """Let all phases pass, then the calls that are still under way end."""
        scenario, clock, agenda = self._scenario, self._clock, self._agenda
        for start, phase in zip(scenario.starts, scenario.phases, strict=True):
            self._plan(start, functools.partial(self._begin, phase))
        for call in self._arrivals:
            while agenda and agenda[0][0] <= call.arrived:
                clock.now, _, action = heapq.heappop(agenda)
                action()
            clock.now = call.arrived
            self._arrive(call)
        while agenda:
            clock.now, _, action = heapq.heappop(agenda)
            action()

    def _plan(self, second: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (second, next(self._numbers), action))

    def _begin(self, phase: Phase) -> None:
        self.dependency.begin(phase, self._clock.now)

    # ------------------------------------------------------------------ the caller's side

    def _arrive(self, call: Call) -> None:
        process = self.processes[call.process]
        healthy = self.dependency.phase.healthy and not self.dependency.has_fault(call.process)
        try:
            call.token = process.enter()
        except CircuitOpenError:
            self.tally.rejected(call, healthy)
            self._look(call)
            return
        call.error = self.dependency.phase.error
        self.tally.sent(call, healthy)
        self._look(call)
        capacity = self.dependency.phase.capacity
        if capacity is None and not self.dependency.queue:
            self._work(call)
        elif capacity is not None and self.dependency.is_full(capacity):
            self._end(call, End.FAILED)
        else:
            self.dependency.queue.append(call)
            patience, end = self._patience(call)
            if patience < math.inf:
                self._plan(self._clock.now + patience, lambda: self._end(call, end))
            if not self._serving:
                self._serve()

    def _patience(self, call: Call) -> tuple[float, End]:
        """Return for how many seconds the caller waits, and what it calls it when nobody answered."""
        scenario = self._scenario
        client = min(
            math.inf if scenario.timeout is None else scenario.timeout,
            math.inf if call.token.limit is None else call.token.limit,
        )
        deadline = math.inf if scenario.deadline is None else scenario.deadline
        return (client, End.TIMED_OUT) if client <= deadline else (deadline, End.CANCELLED)

    def _end(self, call: Call, end: End) -> None:
        if call.ended:
            return
        call.ended = True
        if end is End.ANSWERED:
            self.dependency.warm(self._clock.now)
        now = self._clock.now
        self.tally.ended(call, end, now)
        self.processes[call.process].settle(call.token, end, call.error)
        self._look(call)

    def _look(self, call: Call) -> None:
        history = self.processes[call.process].history
        before = history.closed_at
        self.processes[call.process].look(self._clock.now)
        if (before is None) is not (history.closed_at is None):
            self.tally.circuit(self._clock.now, closed=history.closed_at is not None)

    # ------------------------------------------------------------------ the dependency's side

    def _work(self, call: Call) -> None:
        """Begin to work on a call: its answer is fixed from here on."""
        now = self._clock.now
        ready = now + self.dependency.phase.response_time.draw(call.pace)
        end = End.FAILED if self.dependency.fails(call) else End.ANSWERED
        patience, gives_up = self._patience(call)
        if call.arrived + patience < ready:
            ready, end = max(now, call.arrived + patience), gives_up
        self._plan(ready, lambda: self._end(call, end))

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
        self._plan(now + self.dependency.interval(now), self._serve)
