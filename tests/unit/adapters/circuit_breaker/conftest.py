"""The adapters, each in its own rig."""

from __future__ import annotations

import pytest

from tests.breakers import Rig, aiobreaker_rig, interlock_rig, purgatory_rig

MAKERS = {"aiobreaker": aiobreaker_rig, "purgatory": purgatory_rig, "interlock": interlock_rig}


@pytest.fixture(params=sorted(MAKERS))
def rig(request: pytest.FixtureRequest) -> Rig:
    """One adapter after the other."""
    return MAKERS[request.param]()
