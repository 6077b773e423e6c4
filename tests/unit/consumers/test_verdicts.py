"""What is told of errors."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.consumers.verdicts import REASON_LIMIT, rejection_of, told


def test_a_reason_is_one_line_of_limited_length() -> None:
    assert told(ValueError("first\nsecond")) == "ValueError: first second"
    long = told(ValueError("x" * 5_000))
    assert len(long) == REASON_LIMIT
    assert long.endswith("…")


def test_errors_of_others_are_told_with_their_module() -> None:
    assert told(CircuitOpenError("shop")) == (
        "cqrs.circuit_breaker.errors.CircuitOpenError: circuit 'shop' is open"
    )


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (CircuitOpenError("a", retry_after=3.0), 3.0),
        (ExceptionGroup("", [CircuitOpenError("a", retry_after=3.0), CircuitOpenError("b")]), 3.0),
        (ExceptionGroup("", [ExceptionGroup("", [CircuitOpenError("a", retry_after=3.0)])]), 3.0),
    ],
)
def test_rejections_are_found(error: BaseException, after: float) -> None:
    rejection = rejection_of(error)

    assert rejection is not None
    assert rejection.retry_after == after


@pytest.mark.parametrize("error", [ValueError(), ExceptionGroup("", [CircuitOpenError("a"), ValueError()])])
def test_what_else_failed_counts(error: BaseException) -> None:
    assert rejection_of(error) is None
