"""F9: a process comes back, and the wait of the fleet has been over for long: nobody has called meanwhile."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import Permit
from cqrs.testing import Fleet
from tests.fleet.support import (
    SPREAD,
    Boom,
    attempt,
    circuit,
    live_permits,
    opened,
    record,
    rejection,
    row_policy,
    touch,
    until,
)

WAIT = 20.0


def away(fleet: Fleet, meanwhile: str, seconds: float = 5 * WAIT) -> None:
    """Have node 0 lose the store, and come back much later; what it does meanwhile, it does alone."""
    if meanwhile == "has missed it":
        touch(fleet)
        fleet.partition(0)
        for _ in range(3):
            attempt(fleet.nodes[1], Boom())
    else:
        opened(fleet)
        fleet.partition(0)
    if meanwhile == "probes in vain":
        until(fleet, lambda: attempt(fleet.nodes[0], Boom()) == "failed", 2 * WAIT + 5.0)
    elif meanwhile == "has closed":
        until(fleet, lambda: attempt(fleet.nodes[0]) == "ok", 2 * WAIT + 5.0)
        assert circuit(fleet.nodes[0]).state == "closed"
    elif meanwhile == "opens by itself":
        until(fleet, lambda: attempt(fleet.nodes[0]) == "ok", 2 * WAIT + 5.0)
        for _ in range(3):
            attempt(fleet.nodes[0], Boom())
    fleet.advance(seconds - 0.3)
    if meanwhile in ("probes in vain", "opens by itself"):
        # Its own next wait has begun just now: that of the fleet, which is over, goes before it.
        until(fleet, lambda: attempt(fleet.nodes[0], Boom()) == "failed", 2 * WAIT)
    assert record(fleet).st == "open"
    assert record(fleet).until / 1e6 < fleet.server.clock() - 2 * WAIT
    fleet.heal()
    until(fleet, lambda: not fleet.nodes[0].store.health().degraded, 1.5)


@pytest.mark.parametrize(
    "meanwhile", ["sleeps", "probes in vain", "has closed", "opens by itself", "has missed it"]
)
def test_f9_a_wait_that_is_over_is_no_reason_to_wait(meanwhile: str) -> None:
    for seed in range(4):
        fleet = Fleet(2, row_policy(3, WAIT), seed=seed)
        away(fleet, meanwhile)
        assert fleet.states("payments") == ["half_open"] * 2
        until(fleet, lambda: attempt(fleet.nodes[0]) == "ok", 2 * SPREAD, 0.005)  # noqa: B023
        assert fleet.states("payments") == ["closed"] * 2
        assert fleet.operations["acquire"] == 1


def test_f9_what_is_left_of_a_wait_is_all_that_is_waited_for() -> None:
    fleet = opened(Fleet(2, row_policy(3, WAIT)))
    fleet.partition(0)
    fleet.advance(WAIT / 2)
    fleet.heal()
    until(fleet, lambda: not fleet.nodes[0].store.health().degraded, 1.5)
    left = record(fleet).until / 1e6 - fleet.server.clock()
    assert 0.0 < left < WAIT / 2
    assert rejection(fleet.nodes[0]).retry_after == pytest.approx(left, abs=0.001)
    fleet.advance(left)
    until(fleet, lambda: attempt(fleet.nodes[0]) == "ok", 2 * SPREAD, 0.005)


@pytest.mark.parametrize("push", [True, False])
def test_f9_twenty_processes_that_come_back_to_it_do_not_all_ask_at_once(push: bool) -> None:
    fleet = opened(Fleet(20, row_policy(3, WAIT), push=push))
    fleet.partition(range(20))
    fleet.advance(5 * WAIT)
    fleet.heal()
    asked: list[int] = []
    held: list[Permit] = []
    while not held:
        before = fleet.operations["acquire"]
        for node in fleet.nodes:
            permit = circuit(node).try_acquire()
            held += [] if permit is None or permit.kind != "probe" else [permit]
        asked.append(fleet.operations["acquire"] - before)
        assert live_permits(fleet) <= 1
        assert len(asked) < 2000
        fleet.advance(0.001)
    assert len(held) == 1
    assert max(asked) <= 3
