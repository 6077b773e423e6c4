"""F6 after an outage of the store: how soon a process is back, and what looking for the store costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakers
from cqrs.circuit_breaker.fleet.memory import MemoryServer, MemoryStore
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.testing import FakeClock, Fleet, FleetNode
from tests.fleet.support import (
    Boom,
    attempt,
    circuit,
    fail,
    half_opened,
    probing,
    rate_policy,
    record,
    row_policy,
    touch,
    until,
)

FAULTS: dict[str, Callable[[FleetNode], object]] = {
    "refuses": lambda node: node.store.partition(),
    "hangs": lambda node: node.store.latency(1000.0),
}


def bound(interval: float) -> float:
    """Seconds within which a process is back: as after any change, but a store is not sought at any pace."""
    settings = StoreSettings(namespace="test", sync_interval=interval)
    return 1.1 * max(interval, 0.4) + settings.sync_timeout + 0.01


class Attempts:
    """When nodes tried to reach a store that they cannot reach."""

    def __init__(self, nodes: Iterable[FleetNode]) -> None:
        self.times: list[float] = []
        for node in nodes:
            self._watch(node)

    def _watch(self, node: FleetNode) -> None:
        store, original = node.store, node.store.in_force

        def watched(kind: str) -> Any:
            found = original(kind)
            if kind == "partition" and found is not None:
                self.times.append(node.clock())
            return found

        store.in_force = watched  # type: ignore[method-assign]

    def most_within(self, seconds: float) -> int:
        times = sorted(self.times)
        return max(sum(time <= other < time + seconds for other in times) for time in times)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("interval", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("outage", [1.5, 4.5, 30.0, 301.3])
def test_f6_a_process_is_back_within_an_interval_however_long_the_store_was_away(
    fault: str, interval: float, outage: float
) -> None:
    for seed in range(6):
        fleet = Fleet(2, row_policy(2, 3600.0), sync_interval=interval, seed=seed)
        touch(fleet)
        fleet.advance(interval * (3 + 0.17 * seed))
        FAULTS[fault](fleet.nodes[0])
        fleet.advance(outage * interval)
        fail(fleet.nodes[1], 2)
        assert fleet.states("payments") == ["closed", "open"]
        fleet.heal()
        back = circuit(fleet.nodes[0])
        until(fleet, lambda: back.state == "open", bound(interval), interval / 50)  # noqa: B023
        assert not fleet.nodes[0].store.health().degraded


@pytest.mark.parametrize("outage", [3.5, 60.0])
def test_f6_with_many_shards_all_of_them_are_back(outage: float) -> None:
    names = [f"c{number}" for number in range(40)]
    for seed in range(6):
        fleet = Fleet(2, row_policy(1, 3600.0), shards=8, seed=seed)
        for name in names:
            touch(fleet, name)
        fleet.advance(3.0)
        fleet.partition(0)
        fleet.advance(outage)
        for name in names:
            fail(fleet.nodes[1], name=name)
        fleet.heal()
        back = [circuit(fleet.nodes[0], name) for name in names]
        until(fleet, lambda: all(each.state == "open" for each in back), bound(1.0))  # noqa: B023


@pytest.mark.parametrize("interval", [0.01, 0.1, 1.0])
def test_f6_seeking_a_store_costs_a_few_attempts_a_second(interval: float) -> None:
    fleet = Fleet(1, row_policy(2, 5.0), sync_interval=interval)
    held = probing(fleet)
    fleet.advance(2.0)
    fleet.partition(0)
    seen = Attempts(fleet.nodes)
    fleet.advance(2.0)
    held.success()  # and that is to be told as well
    seen.times.clear()
    for number in range(2000):  # failures that are to be told at once, probes, and much traffic
        attempt(fleet.nodes[0], Boom() if number % 3 else None)
        fleet.advance(0.01)
    assert 10 <= len(seen.times) <= 20 * 4.5
    assert seen.most_within(1.0) <= 5


@pytest.mark.parametrize("interval", [0.1, 1.0])
def test_f6_twenty_processes_do_not_come_in_step(interval: float) -> None:
    """They have started together, and lost the store together."""
    fleet = Fleet(20, row_policy(3, 60.0), sync_interval=interval)
    touch(fleet)
    fleet.advance(3 * interval)
    fleet.partition(range(20))
    fleet.advance(5.0 * interval)
    seen = Attempts(fleet.nodes)
    fleet.advance(20.0)
    assert len(seen.times) <= 20 * 20 * 4.5
    assert seen.most_within(0.01 * interval) <= 5
    fleet.heal()
    back: list[float] = []
    while len(back) < 20:
        here = [node for node in fleet.nodes if not node.store.health().degraded]
        back += [fleet.clock()] * (len(here) - len(back))
        fleet.advance(0.01)
    assert back[-1] - back[0] > 0.2 * interval


def test_f6_callers_never_wait_for_a_store_that_is_known_to_be_away() -> None:
    fleet = half_opened(Fleet(1, rate_policy(permit_lease=60.0)))
    node = fleet.nodes[0]
    fleet.partition(0)
    until(fleet, lambda: node.store.session.breaker.state == "open", 4.0)
    seen = Attempts([node])
    asked: list[float] = []
    for _ in range(2000):  # just before the store is sought, and just after
        before = len(seen.times)
        attempt(node)
        asked += seen.times[before:]
        fleet.advance(0.005)
    assert asked == []
    assert len(seen.times) > 5


def test_f6_what_a_probe_brought_while_the_store_was_away_is_told_when_it_is_back() -> None:
    fleet = Fleet(2, rate_policy(permit_lease=60.0))
    permit = probing(fleet)
    fleet.partition(0)
    fleet.advance(6.0)
    permit.success()
    assert record(fleet).ok == 0
    fleet.heal()
    until(fleet, lambda: record(fleet).ok == 1, bound(1.0))


class HalfDead(MemoryServer):
    """Servers of a cluster, of which some are dead: their shards have these prefixes."""

    dead: frozenset[str] = frozenset()

    def exchange(self, prefix: str, request: Message) -> tuple[Message | None, str] | None:
        if prefix in self.dead:
            return None, "connection refused"
        return super().exchange(prefix, request)


@pytest.mark.parametrize("seed", range(4))
def test_f6_shards_whose_server_lives_are_not_lost_with_those_whose_server_is_dead(seed: int) -> None:
    """Which shard is tried next is drawn; while most draws meet a dead server, a living one has to wait."""
    clock = FakeClock()
    server = HalfDead(clock)
    stores = [
        MemoryStore(server, shards=8, push=False, clock=clock, random=Random(2 * seed + number).random)
        for number in range(2)
    ]
    nodes = [CircuitBreakers(row_policy(1, 3600.0), store=store, clock=clock) for store in stores]
    names = [f"c{number}" for number in range(40)]

    def advance(seconds: float) -> None:
        end = clock() + seconds
        while clock() < end:
            clock.advance(max(0.001, min(min(store.tick() for store in stores), end - clock())))

    for breakers in nodes:
        assert all(breakers[name].state == "closed" for name in names)
    advance(3.0)
    server.dead = frozenset(stores[0].settings.prefix(shard) for shard in range(5))
    advance(20.0)
    for name in names:
        with pytest.raises(ZeroDivisionError):
            nodes[1][name].call(lambda: 1 // 0)
    session = stores[0].session
    alive = [name for name in names if session.shard_of(session.gates[_identity(nodes[0], name)]).number >= 5]
    assert len(alive) > 5
    for _ in range(60):
        advance(1.0)
        if {nodes[0][name].state.value for name in alive} == {"open"}:
            break
    assert {nodes[0][name].state.value for name in alive} == {"open"}


def _identity(breakers: CircuitBreakers, name: str) -> str:
    gate: Any = breakers[name].gate
    return str(gate.identity)
