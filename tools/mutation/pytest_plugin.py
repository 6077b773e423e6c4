"""What pytest does differently for mutants: likely killers first, then quick tests; no shrinking."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

PROFILE = "mutation"


class MutationPlugin:
    """Orders the tests, and remembers which one failed and how long each took.

    Args:
        source: The folder that `cqrs` must come from.
    """

    def __init__(self, source: str) -> None:
        self.failed = ""
        self.durations: dict[str, float] = {}
        self._rank: Mapping[str, int] = {}
        self._expected: Mapping[str, float] = {}
        self._source = source
        # Minimal examples of failures are for people. Before the conftest loads the profile of this name.
        settings.register_profile(
            PROFILE,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=[HealthCheck.too_slow],
        )

    def expect(self, first: Sequence[str], durations: Mapping[str, float]) -> None:
        """Take what is known of the tests.

        Args:
            first: Names of tests that have noticed other mutants, the best ones first.
            durations: Seconds that tests took without a mutant; unknown ones count as quick.
        """
        self._rank = {name: place for place, name in enumerate(first)}
        self._expected = durations

    def order(self, items: list[pytest.Item]) -> None:
        """Put the tests into the order in which a mutant is noticed soonest."""
        unranked = len(self._rank)
        items.sort(
            key=lambda item: (self._rank.get(item.nodeid, unranked), self._expected.get(item.nodeid, 0.0))
        )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse tests of something else; order them."""
        package = sys.modules.get("cqrs")
        if package is not None and not Path(str(package.__file__)).is_relative_to(self._source):
            raise pytest.UsageError(f"cqrs was imported from {package.__file__}, not from {self._source}")
        self.order(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note durations, and the first failure."""
        self.durations[report.nodeid] = self.durations.get(report.nodeid, 0.0) + report.duration
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that cannot be imported."""
        if report.failed and not self.failed:
            self.failed = report.nodeid
