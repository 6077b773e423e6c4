"""F3: the end of a probe counts once, for the half-open round in which it was granted, or not at all."""

from __future__ import annotations

import pytest

from cqrs.testing import Fleet
from tests.fleet.manual import Bench
from tests.fleet.support import (
    SPREAD,
    Boom,
    acquired,
    circuit,
    half_opened,
    live_permits,
    probing,
    rate_policy,
    record,
)


def test_f3_a_settlement_counts_once() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    assert [permit.success(), permit.success(), permit.failure()] == [True, False, False]
    assert (record(fleet).ok, record(fleet).bad) == (1, 0)


def test_f3_a_settlement_whose_answer_was_lost_is_repeated_and_counts_once() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    with fleet.nodes[0].store.drop_reply():
        permit.success()
    fleet.advance(2.4)
    assert fleet.operations["settle"] == 2
    assert record(fleet).ok == 1


def test_f3_a_settlement_that_did_not_arrive_is_made_up_for() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    with fleet.nodes[0].store.partition():
        permit.success()
        assert record(fleet).ok == 0
    fleet.advance(2.4)
    assert record(fleet).ok == 1
    assert live_permits(fleet) == 0


def test_f3_a_settlement_is_not_repeated_for_ever() -> None:
    fleet = Fleet(2, rate_policy(permit_lease=4.0))
    permit = probing(fleet)
    with fleet.nodes[0].store.partition():
        permit.success()
        fleet.advance(4.5)
    fleet.advance(20.0)
    assert fleet.operations["settle"] == 0


def test_f3_a_frozen_process_that_wakes_late_changes_nothing() -> None:
    """Fault 4: SIGSTOP for longer than the lease, then SIGCONT."""
    fleet = Fleet(2, rate_policy(permit_lease=3.0))
    permit = probing(fleet)
    frozen = fleet.nodes[0]
    with frozen.store.partition():
        fleet.advance(3.2)
        acquired(fleet, 1).success()
    assert record(fleet).ok == 1
    permit.failure(Boom())
    fleet.advance(2.5)
    assert (record(fleet).ok, record(fleet).bad) == (1, 0)


def test_f3_a_probe_of_an_earlier_round_says_nothing_about_this_one() -> None:
    fleet = Fleet(3, rate_policy(permit_lease=60.0, max_concurrent_probes=2))
    late = probing(fleet)
    for _ in range(2):
        acquired(fleet, 1).failure(Boom())
    assert fleet.states("payments") == ["open"] * 3
    fleet.advance(10.1)
    acquired(fleet, 2)
    before = record(fleet)
    late.success()
    fleet.advance(SPREAD)
    assert (record(fleet).ok, record(fleet).bad, record(fleet).ep) == (0, 0, before.ep)


@pytest.mark.parametrize("success", [True, False])
def test_f3_the_deciding_settlement_moves_the_circuit_in_the_same_exchange(success: bool) -> None:
    fleet = Fleet(2, rate_policy(permitted_calls_in_half_open=1), push=False)
    permit = probing(fleet)
    before = fleet.commands
    permit.success() if success else permit.failure(Boom())
    assert record(fleet).st == ("closed" if success else "open")
    assert fleet.commands == before + 1
    fleet.kill(0)  # the decider dies: it is decided
    fleet.advance(1.2)
    assert fleet.states("payments") == ["closed" if success else "open"]


def test_f3_settlements_that_arrive_in_another_order_all_count() -> None:
    policy = rate_policy(permitted_calls_in_half_open=3, max_concurrent_probes=3)
    fleet = Fleet(2, policy)
    half_opened(fleet)
    bench = Bench(policy, fleet.server, fleet.clock)
    bench.transport.on_submit = lambda submission: "acquire" in submission.kinds and submission.answer()
    held = []
    for _ in range(8):
        permit = bench.breakers["payments"].try_acquire()
        held += [] if permit is None else [permit]
        fleet.clock.advance(SPREAD)
    assert len(held) == 3
    for permit in held[:2]:
        permit.failure(Boom())
    first, second = [each for each in bench.transport.requests if "settle" in each.kinds]
    second.answer()
    assert (record(fleet).bad, record(fleet).st) == (1, "half_open")
    first.answer()
    assert record(fleet).st == "open"
    held[2].success()
    bench.transport.only("settle").answer()
    assert record(fleet).st == "open"


def test_f3_a_settlement_answered_after_a_flush_is_void() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    fleet.flush()
    permit.success()
    assert record(fleet).ok == 0
    fleet.advance(2.4)
    assert circuit(fleet.nodes[0]).state in ("open", "half_open")  # an open circuit is not forgotten for that
