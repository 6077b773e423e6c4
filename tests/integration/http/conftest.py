"""Callers over every transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.http.peer import ALL, Caller, caller


@pytest.fixture(params=ALL)
def make_caller(request: pytest.FixtureRequest) -> Iterator[Callable[..., Caller]]:
    """Make callers over one transport; they are closed at the end."""
    made: list[Caller] = []

    def make(**options: Any) -> Caller:
        made.append(caller(request.param, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
