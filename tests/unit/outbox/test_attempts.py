from __future__ import annotations

import pytest

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.outbox.attempts import FailureKind, classify, reason, setback
from cqrs.outbox.repository import EventStatus


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CircuitOpenError("broker"), FailureKind.REJECTED),
        (MessageRefusedError("topic", "too large"), FailureKind.REFUSED),
        (BrokerUnavailableError("topic", "down"), FailureKind.UNAVAILABLE),
        (TimeoutError(), FailureKind.UNAVAILABLE),
        (ConnectionRefusedError(), FailureKind.UNAVAILABLE),
        (OSError("Multiple exceptions"), FailureKind.UNAVAILABLE),
        (ValueError(), FailureKind.OTHER),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: FailureKind) -> None:
    assert classify(error) is kind


def test_a_foreign_breaker_knows_its_own_rejection() -> None:
    class Breaker:
        async def call(self, identifier: object, func: object) -> None: ...

        def is_circuit_breaker_error(self, exc: Exception) -> bool:
            return isinstance(exc, KeyError)

    assert classify(KeyError(), Breaker()) is FailureKind.REJECTED  # type: ignore[arg-type]


def test_waits_grow_until_the_last_attempt() -> None:
    found = [
        setback(ValueError("no"), attempts, backoff=Backoff(5, 4, 900, 0), random=lambda: 0.5)
        for attempts in range(5)
    ]
    assert [each.delay for each in found] == [5, 20, 80, 320, 0]
    assert [each.attempts for each in found] == [1, 2, 3, 4, 5]
    assert [each.status for each in found] == [EventStatus.NOT_PRODUCED] * 4 + [EventStatus.DEAD_LETTER]


def test_a_refused_message_is_given_up_at_once() -> None:
    found = setback(MessageRefusedError("topic", "too large"), 0, random=lambda: 0.5)
    assert found.status is EventStatus.DEAD_LETTER
    assert "too large" in found.reason


def test_reasons_are_bounded() -> None:
    assert len(reason(ValueError("x" * 10_000))) == 2000


@pytest.mark.parametrize("text", ["a\0b", "\udcff", "\N{GRINNING FACE}", "é", "\r\n"])
def test_any_database_takes_a_reason(text: str) -> None:
    found = reason(ValueError(text))
    assert found.isascii()
    assert "\0" not in found


def test_an_error_without_text_has_a_reason() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise KeyError

    assert reason(Broken()).endswith("(it has no text: its __str__ raised KeyError)")
