"""Both kinds of discoveries, for both kinds of servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.http.discovery.side import Side


@pytest.fixture(params=["async-consul", "sync-consul", "async-nomad", "sync-nomad"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    made = Side(*request.param.split("-"))
    yield made
    made.close()


@pytest.fixture(params=["async", "sync"])
def consul(request: pytest.FixtureRequest) -> Iterator[Side]:
    made = Side(request.param, "consul")
    yield made
    made.close()


@pytest.fixture(params=["async", "sync"])
def nomad(request: pytest.FixtureRequest) -> Iterator[Side]:
    made = Side(request.param, "nomad")
    yield made
    made.close()
