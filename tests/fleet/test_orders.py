"""What operators tell and ask a store: overrides, resets, views, the audit."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, Mode, State, StoreUnavailableError
from cqrs.exceptions import PolicyError
from cqrs.testing import Fleet

POLICY = CircuitBreakerPolicy.consecutive(threshold=2, ttl=30.0)


def fail(fleet: Fleet, node: int) -> None:
    def down() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fleet.nodes[node].breakers["payments"].call(down)


def test_the_audit_tells_who_did_what_and_why_newest_first() -> None:
    fleet = Fleet(2, POLICY)
    fail(fleet, 0)
    fail(fleet, 1)
    fleet.advance(3.0)
    fleet.nodes[0].breakers.override("payments", Mode.DISABLED, ttl=60, actor="ann", reason="INC-42")
    fleet.advance(2.0)

    override, opening = fleet.nodes[1].store.audit()

    assert (override.name, override.actor, override.reason) == ("payments", "ann", "INC-42")
    assert override.evidence["mode"] == "disabled"
    assert override.ago == 2.0
    assert (opening.from_state, opening.to_state) == (State.CLOSED, State.OPEN)
    assert (opening.reason, opening.node) == ("2 failures in a row", fleet.nodes[1].store.session.node)
    assert opening.ago == 5.0
    assert override.epoch == opening.epoch + 1


def test_the_audit_of_several_shards_is_in_one_order() -> None:
    fleet = Fleet(1, POLICY, shards=4)
    names = [f"circuit {number}" for number in range(12)]
    for name in names:
        fleet.nodes[0].breakers.override(name, Mode.FORCED_OPEN)
        fleet.advance(1.0)
    assert [entry.name for entry in fleet.nodes[0].store.audit(5)] == names[:-6:-1]


@pytest.mark.parametrize("limit", [0, -1, 10_001, 1.5])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    with pytest.raises(PolicyError, match="limit"):
        Fleet(1, POLICY).nodes[0].store.audit(limit)


async def test_the_audit_is_there_for_event_loops() -> None:
    fleet = Fleet(1, POLICY)
    await fleet.nodes[0].breakers.aoverride("payments", Mode.FORCED_OPEN, actor="bo")
    assert [entry.actor for entry in await fleet.nodes[0].store.aaudit()] == ["bo"]


def test_an_order_that_does_not_arrive_says_so() -> None:
    fleet = Fleet(2, POLICY)
    fleet.partition([0])
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        fleet.nodes[0].breakers.override("payments", Mode.FORCED_OPEN)
    with pytest.raises(StoreUnavailableError):
        fleet.nodes[0].store.audit()
    fleet.advance(2.0)
    assert fleet.nodes[1].breakers["payments"].state is State.CLOSED


def test_the_same_override_with_a_longer_time_takes_the_place_of_the_first() -> None:
    fleet = Fleet(2, POLICY)
    breakers = fleet.nodes[0].breakers
    fleet.nodes[1].breakers["payments"]
    for ttl in (10.0, 100.0):
        breakers.override(None, Mode.FORCED_OPEN, ttl=ttl, actor="ann")
        fleet.advance(1.5)
    fleet.advance(50.0)
    assert fleet.nodes[1].breakers["payments"].state is State.FORCED_OPEN
    fleet.advance(60.0)
    assert fleet.nodes[1].breakers["payments"].state is State.CLOSED


def test_a_view_is_what_the_store_says_now() -> None:
    fleet = Fleet(2, POLICY, push=False)
    fail(fleet, 0)
    fail(fleet, 0)
    store = fleet.nodes[1].store
    assert store.view("payments", POLICY).state is State.CLOSED  # others might have had a success
    fleet.advance(3.0)
    view = store.view("payments", POLICY)
    assert (view.state, view.streak, view.wait) == (State.OPEN, 1, 30.0)


def test_a_reset_holds_everywhere() -> None:
    fleet = Fleet(3, POLICY)
    fail(fleet, 0)
    fail(fleet, 0)
    assert [node.breakers["payments"].state for node in fleet.nodes] == [State.OPEN] * 3
    fleet.nodes[2].breakers.reset("payments")
    fleet.advance(1.1)
    assert fleet.states("payments") == [State.CLOSED] * 3
    assert fleet.nodes[2].store.view("payments", POLICY).streak == 0


def test_an_explanation_tells_the_fleets_side() -> None:
    policy = CircuitBreakerPolicy(minimum_number_of_calls=10)
    fleet = Fleet(4, policy)
    for _ in range(5):
        fail(fleet, 0)
        for node in fleet.nodes[1:]:
            node.breakers["payments"].call(int)
    fleet.advance(3.0)
    text = str(fleet.nodes[1].breakers["payments"].explain())
    assert "5 of 20 calls failed, 25.0%; 1 of 4 reporting processes are unhealthy" in text
