"""What is said of a failed command, for causes that a real server cannot be made to produce at will."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker.redis import failures


@pytest.mark.parametrize(
    "cause",
    [
        ConnectionResetError("reset"),
        BrokenPipeError("broken"),
        # A writer of asyncio in Python 3.12 that finds out while it writes.
        AttributeError("'NoneType' object has no attribute '_add_writer'"),
    ],
)
def test_a_connection_that_is_lost_while_it_is_written_to(cause: Exception) -> None:
    wrapped = RuntimeError("client")
    wrapped.__cause__ = cause
    assert failures.reason(cause, 0.05, 1.0) == "connection lost"
    assert failures.reason(wrapped, 0.05, 1.0) == "connection lost"


def test_another_bug_is_told_as_it_is() -> None:
    error = AttributeError("'NoneType' object has no attribute 'spam'")
    assert failures.reason(error, 0.05, 1.0) == f"AttributeError: {error}"
