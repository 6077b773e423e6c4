"""One random walk of a fleet: what happens, and what must hold after each step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreakerPolicy,
    Mode,
    Permit,
    State,
    StateChanged,
    StoreUnavailableError,
    Verdict,
)
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.testing import Fleet, FleetNode
from tests.fleet.support import (
    Boom,
    attempt,
    circuit,
    live_permits,
    ramp_policy,
    rate_policy,
    record,
    row_policy,
)

NAMES = ("payments", "zahlung für {x}")
BACKOFF = Backoff(3.0, 2.0, 12.0, 0.2)
RECOVERY: dict[str, Any] = {
    "wait_duration_in_open": BACKOFF,
    "permit_lease": 4.0,
    "max_probe_duration": 15.0,
    "max_wait_duration_in_half_open": 25.0,
}
POLICIES: list[CircuitBreakerPolicy] = [
    row_policy(3, 3.0).replace(**RECOVERY),
    rate_policy(minimum=5).replace(**RECOVERY),
    ramp_policy(minimum=5, duration=6.0).replace(**RECOVERY),
    rate_policy(minimum=5, permitted_calls_in_half_open=4, max_concurrent_probes=2).replace(**RECOVERY),
    rate_policy(minimum=5, consecutive_failures=4, slow_call_duration_threshold=1.0).replace(**RECOVERY),
]
LONGEST_STEP = 15.0
START = 1e6  # far enough from zero for a server whose clock steps back


BY_TIME = {
    (State.OPEN, State.HALF_OPEN),
    (State.HALF_OPEN, State.CLOSED),
    (State.HALF_OPEN, State.OPEN),
}
"""Changes that come with time, and are told when a call finds them; as is the end of an override."""


class Walk:
    """A fleet, the permits that its callers hold, and a dependency that is well or not."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(seed)
        self.fleet = Fleet(
            draw.randint(3, 6),
            draw.choice(POLICIES),
            quorum=draw.choice([0.0, 0.5, 0.5, 1.0]),
            push=draw.random() < 0.6,
            shards=draw.choice([1, 1, 3]),
            command_timeout=0.001,
            start=START,
            seed=seed,
        )
        self.healthy = True
        self.held: list[tuple[FleetNode, str, Permit]] = []
        self.snapshot: dict[str, Any] | None = None
        self.log: list[str] = []
        self.told: dict[tuple[FleetNode, str], StateChanged] = {}
        for node in self.fleet.nodes:
            self.listen(node)

    # ------------------------------------------------------------------ steps

    def step(self) -> None:
        steps, weights = zip(*STEPS, strict=True)
        (step,) = self.draw.choices(steps, weights)
        self.log.append(f"{self.fleet.clock() - START:.2f} {step.__name__}")
        step(self)
        self.check()

    def node(self) -> FleetNode:
        return self.draw.choice(self.fleet.living())

    def reached(self) -> FleetNode:
        """Return a node whose store answers without waiting for the clock: orders do wait."""
        node = self.node()
        if node.store.in_force("latency"):
            node.store.heal()
        return node

    def name(self) -> str:
        return self.draw.choices(NAMES, [4, 1])[0]

    def call(self) -> None:
        node, name = self.node(), self.name()
        for _ in range(self.draw.randint(1, 6)):
            attempt(node, None if self.healthy or self.draw.random() < 0.1 else Boom(), name)

    def call_everywhere(self) -> None:
        name = self.name()
        for node in self.fleet.living():
            attempt(node, None if self.healthy else Boom(), name)

    def hold(self) -> None:
        node, name = self.node(), self.name()
        permit = circuit(node, name).try_acquire()
        if permit is not None and len(self.held) < 12:
            self.held.append((node, name, permit))
        elif permit is not None:
            permit.drop()

    def settle(self) -> None:
        if self.held:
            _, _, permit = self.held.pop(self.draw.randrange(len(self.held)))
            verdict = self.draw.choice([*Verdict, Verdict.SUCCESS, Verdict.FAILURE, None])
            permit.drop() if verdict is None else permit.settle(verdict)
            assert permit.settled

    def advance(self) -> None:
        self.fleet.advance(self.draw.choice([0.0, 0.01, 0.05, 0.06, 0.3, 1.1, 1.1, 4.0, LONGEST_STEP]))

    def turn(self) -> None:
        self.healthy = not self.healthy

    def disturb(self) -> None:
        store = self.node().store
        self.draw.choice(
            [
                store.partition,
                store.drop_reply,
                store.error,
                lambda: store.latency(self.draw.choice([0.1, 0.2, 2.0])),
                lambda: store.drop_reply(1),
            ]
        )()

    def heal(self) -> None:
        self.node().store.heal()

    def kill(self) -> None:
        if len(self.fleet.living()) > 2:
            self.gone(self.node())

    def restart(self) -> None:
        node = self.draw.choice(self.fleet.nodes)
        self.gone(node)
        self.fleet.restart(node)
        self.listen(self.fleet.nodes[node.number])

    def gone(self, node: FleetNode) -> None:
        self.fleet.kill(node)
        self.held = [entry for entry in self.held if entry[0] is not node]

    def flush(self) -> None:
        self.fleet.flush()

    def keep(self) -> None:
        self.snapshot = self.fleet.snapshot()

    def go_back(self) -> None:
        if self.snapshot is not None:
            self.fleet.rollback(self.snapshot, reconnect=self.draw.random() < 0.5)

    def step_server_clock(self) -> None:
        self.fleet.server_skew += self.draw.choice([-3600.0, -2.0, 2.0, 3600.0])

    def override(self) -> None:
        mode, ttl = self.draw.choice(list(Mode)), self.draw.choice([None, 0.5, 5.0])
        breakers, name = self.reached().breakers, self.draw.choice([*NAMES, None])
        self.steer(lambda: breakers.override(name, mode, ttl=ttl, actor=self.draw.choice([None, "ann"])))

    def clear(self) -> None:
        breakers, name = self.reached().breakers, self.draw.choice([*NAMES, None])
        self.steer(lambda: breakers.clear_override(name))

    def reset(self) -> None:
        breakers, name = self.reached().breakers, self.name()
        self.steer(lambda: breakers.reset(name))

    def override_locally(self) -> None:
        mode, ttl = self.draw.choice(list(Mode)), self.draw.choice([1.0, 5.0])
        circuit(self.node(), self.name()).override(mode, ttl=ttl, local=self.draw.random() < 0.3)

    @staticmethod
    def steer(order: Callable[[], None]) -> None:
        try:
            order()
        except StoreUnavailableError:
            pass

    # ------------------------------------------------------------------ what must hold

    def check(self) -> None:
        for name in NAMES:
            self.check_store(name)
            for node in self.fleet.living():
                if name in node.breakers:
                    self.check_circuit(node, name)

    def check_store(self, name: str) -> None:
        """F2."""
        known = record(self.fleet, name)
        if known.st == "half_open":
            live = live_permits(self.fleet, name)
            assert live <= known.conc
            assert known.ok + known.bad + live <= known.need
            assert known.ok + known.bad < known.need

    def check_circuit(self, node: FleetNode, name: str) -> None:
        breaker = circuit(node, name)
        assert breaker.explain().name == name
        figures = breaker.snapshot()
        mine = sum(held[0] is node and held[1] == name for held in self.held)
        assert figures.in_flight == mine, (figures, mine)
        gate = breaker.gate
        assert isinstance(gate, FleetGate)
        last, ends = self.told.get((node, name)), gate.shared.mode_until
        if last is not None and last.to_state is not figures.state and (ends is None or node.clock() < ends):
            assert (last.to_state, figures.state) in BY_TIME, (last, breaker.explain())
        barrier, policy = gate.shared.barrier, breaker.policy
        if barrier is not None and not gate.fleet.degraded:
            longest = max(BACKOFF.max, policy.permit_lease, policy.max_wait_duration_in_half_open)
            assert barrier.until - node.clock() <= longest + 2.0, (barrier.kind, barrier.asking)

    def listen(self, node: FleetNode) -> None:
        node.breakers.add_listener(lambda event: self.heard(node, event), inline=True)

    def heard(self, node: FleetNode, event: object) -> None:
        """Every change begins where the last one ended."""
        if isinstance(event, StateChanged):
            before = self.told.get((node, event.name))
            if before is not None:
                assert before.to_state == event.from_state, (before, event)
            self.told[node, event.name] = event

    # ------------------------------------------------------------------ the end

    def recover(self) -> None:
        """Heal everything but what callers hold: within a bounded time all must be well."""
        fleet, self.healthy = self.fleet, True
        for node in fleet.nodes:
            node.store.heal()
            if not node.alive:
                fleet.restart(node)
                self.listen(fleet.nodes[node.number])
        fleet.advance(8.0)
        fleet.nodes[0].breakers.clear_override(None)
        for name in NAMES:
            fleet.nodes[0].breakers.clear_override(name)
            for node in fleet.nodes:
                circuit(node, name).clear_override()
        begin = fleet.clock()
        while not self.well():
            assert fleet.clock() - begin < 150.0, self.told_of_end()
            fleet.advance(0.25)
            self.check()

    def well(self) -> bool:
        done = True
        for name in NAMES:
            done &= {attempt(node, None, name) for node in self.fleet.nodes} == {"ok"}
            done &= self.fleet.states(name) == ["closed"] * len(self.fleet.nodes)
        return done

    def told_of_end(self) -> list[Any]:
        return [
            (name, record(self.fleet, name).st, [circuit(node, name).explain() for node in self.fleet.nodes])
            for name in NAMES
        ]

    def fall_ill(self) -> None:
        """After all that the fleet must still be able to open."""
        fleet = self.fleet
        fleet.advance(30.0)
        for _ in range(8):
            for node in fleet.nodes:
                attempt(node, Boom())
            fleet.advance(0.3)
        fleet.advance(3.0)
        for node in fleet.nodes:
            attempt(node, Boom())
        opened = [entry["to"] for entry in fleet.audit(NAMES[0])].count("open")
        assert opened, record(fleet)
        assert record(fleet).st != "closed", fleet.audit(NAMES[0])


STEPS: list[tuple[Callable[[Walk], None], int]] = [
    (Walk.call, 30),
    (Walk.call_everywhere, 15),
    (Walk.hold, 15),
    (Walk.settle, 10),
    (Walk.advance, 30),
    (Walk.turn, 5),
    (Walk.disturb, 4),
    (Walk.heal, 5),
    (Walk.kill, 1),
    (Walk.restart, 2),
    (Walk.flush, 1),
    (Walk.keep, 1),
    (Walk.go_back, 1),
    (Walk.step_server_clock, 1),
    (Walk.override, 2),
    (Walk.clear, 2),
    (Walk.reset, 1),
    (Walk.override_locally, 1),
]
