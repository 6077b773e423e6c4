"""A process that leaves says all that its fleet has yet to hear."""

from __future__ import annotations

import pytest

from tests.fleet.manual import Submission
from tests.fleet.support import rate_policy
from tests.fleet.test_f04_candidates import bench_on_half_open, live_permits


@pytest.mark.parametrize("fate", ["is under way", "was lost"])
@pytest.mark.parametrize("verdict", ["success", "drop"])
def test_f3_a_settlement_without_an_answer_is_told_again_with_the_goodbye(fate: str, verdict: str) -> None:
    fleet, bench = bench_on_half_open(rate_policy(permit_lease=30.0, permitted_calls_in_half_open=3))
    bench.transport.on_submit = lambda submission: submission.answer()
    permit = bench.breakers["payments"].acquire()
    lost: list[Submission] = []
    bench.transport.on_submit = lost.append  # the settlement never arrives
    permit.success() if verdict == "success" else permit.drop()
    if fate == "was lost":
        lost[0].fail()
    assert live_permits(fleet) == 1
    bench.transport.on_submit = lambda submission: submission.answer()
    bench.store.close()
    assert live_permits(fleet) == 0


def test_f3_a_settlement_that_arrived_is_not_counted_again_by_the_goodbye() -> None:
    fleet, bench = bench_on_half_open(rate_policy(permit_lease=30.0, permitted_calls_in_half_open=3))
    bench.transport.on_submit = lambda submission: submission.answer()
    permit = bench.breakers["payments"].acquire()
    bench.transport.on_submit = lambda submission: submission.carry()  # and its answer does not
    permit.success()
    bench.transport.on_submit = lambda submission: submission.answer() if submission.request["bye"] else None
    bench.store.close()
    view = fleet.nodes[0].store.view("payments", fleet.nodes[0].breakers.policy_for("payments"))
    assert (live_permits(fleet), view.state.value) == (0, "half_open")
