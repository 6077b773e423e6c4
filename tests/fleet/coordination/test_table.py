"""Every row of the table, against the coordinator in Python alone and together with the script."""

from __future__ import annotations

import pytest

from .servers import KINDS, running
from .steps import Run
from .table import TABLE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLE)
def test_table(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    with running(kind, request) as server:
        Run(server).take(TABLE[name])
