from __future__ import annotations

import pytest

from cqrs.demo.fleet.plan import Plan


@pytest.mark.parametrize("processes", [1, 9])
def test_a_fleet_has_two_to_eight_processes(processes: int) -> None:
    with pytest.raises(ValueError, match="from 2 to 8"):
        Plan(processes)


@pytest.mark.parametrize("fast", [False, True])
def test_nobody_waits_for_an_upstream_that_hangs_and_a_probe_outlasts_the_kill(fast: bool) -> None:
    plan = Plan(fast=fast)
    assert plan.hanging[0] > plan.client_timeout
    assert plan.policy().permit_lease == plan.lease > plan.client_timeout
    assert plan.policy().effective_probe_timeout is None
