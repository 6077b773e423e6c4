"""Random walks of a fleet through calls, faults and orders; for hunting: FLEET_WALKS=2000 pytest ..."""

from __future__ import annotations

import os

import pytest

from tests.fleet.walking import Walk

WALKS = int(os.environ.get("FLEET_WALKS", "40"))
STEPS = 120


@pytest.mark.parametrize("seed", range(WALKS))
def test_whatever_happens_permits_stay_within_limits_and_the_fleet_recovers(seed: int) -> None:
    walk = Walk(seed)
    try:
        for _ in range(STEPS):
            walk.step()
        walk.recover()
        walk.fall_ill()
    except BaseException as error:
        error.add_note("\n".join(walk.log[-40:]))
        raise
