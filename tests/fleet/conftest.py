"""What holds for every test of fleets."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_goes_wrong_silently(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which something was logged as an error: a session survives its own faults."""
    yield
    for when in ("setup", "call"):
        errors = [entry for entry in caplog.get_records(when) if entry.levelno >= logging.ERROR]
        assert not errors, [entry.getMessage() for entry in errors]
