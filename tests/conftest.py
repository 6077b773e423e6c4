"""Fixtures for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from cqrs.testing import FakeClock

pytest_plugins = [
    "pytester",
    "cqrs.testing.pytest_plugin",
    "tests.servers.plugin",
    "tests.servers.databases",
    "tests.servers.brokers",
]

# "ci" repeats the same examples in every run; for hunting: HYPOTHESIS_PROFILE=deep pytest tests/model
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # explaining takes minutes
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    phases=_PHASES,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("deep", settings.get_profile("ci"), derandomize=False, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 1000 s until a test advances it."""
    return FakeClock()
