from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError, PolicyError
from cqrs.outbox.polling import Polling
from cqrs.outbox.settings import RelaySettings, checked_lease, checked_topics
from cqrs.outbox.turn import TurnResult

GOOD: dict[str, Any] = {
    "batch_size": 10,
    "poll_interval": 1.0,
    "max_poll_interval": 5.0,
    "lease_seconds": 30.0,
    "max_attempts": 5,
    "backoff": Backoff(),
    "pause": Backoff(1, 2, 30, 0),
    "topics": None,
    "concurrency": 10,
    "send_timeout": 10.0,
    "validate": True,
}


def polling() -> Polling:
    return Polling(RelaySettings(**GOOD), lambda: 0.5)


def test_a_full_batch_is_followed_at_once_and_a_part_of_one_after_the_interval() -> None:
    rules = polling()
    assert rules.after(TurnResult(10, 10)) == 0
    assert rules.after(TurnResult(9, 9)) == 1


def test_nothing_makes_the_waits_grow() -> None:
    rules = polling()
    assert [rules.after(TurnResult(0)) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert rules.after(TurnResult(1, 1)) == 1
    assert [rules.after(TurnResult(0)) for _ in range(3)] == [2, 4, 5]
    rules.woken()
    assert rules.after(TurnResult(0)) == 1
    assert not rules.is_paused


def test_outages_are_waited_out_longer_and_longer() -> None:
    rules = polling()
    assert [rules.after(TurnResult(10, 0, True)) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert rules.is_paused
    assert rules.after(TurnResult(10, 5, True)) == 1
    assert rules.after(TurnResult(10, 0, True)) == 2
    assert rules.after(TurnResult(10, 10)) == 0
    assert not rules.is_paused


def test_a_circuit_breaker_says_when_to_come_back() -> None:
    assert polling().after(TurnResult(10, 0, True, 7.5)) == 7.5
    assert polling().after(TurnResult(10, 0, True, 0.0)) == 0.05
    assert polling().after(TurnResult(10, 0, True, 900.0)) == 30


def test_errors_of_the_database_are_waited_out() -> None:
    rules = polling()
    assert [rules.after_error() for _ in range(3)] == [1, 2, 4]
    assert rules.is_paused
    rules.after(TurnResult(0))
    assert rules.after_error() == 1


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("batch_size", 0, PolicyError),
        ("batch_size", 10_001, PolicyError),
        ("poll_interval", 0, PolicyError),
        ("max_poll_interval", 0.5, ConfigurationError),
        ("lease_seconds", -1, PolicyError),
        ("send_timeout", 30, ConfigurationError),
        ("max_attempts", 0, PolicyError),
        ("concurrency", 0, PolicyError),
        ("backoff", 5, ConfigurationTypeError),
        ("pause", None, ConfigurationTypeError),
    ],
)
def test_wrong_settings_are_refused(field: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=field):
        RelaySettings(**{**GOOD, field: value})


def test_topics_are_texts() -> None:
    assert checked_topics(None) is None
    assert checked_topics(["b", "a", "b"]) == ("a", "b")
    for wrong in ("topic", [], [7], 7):
        with pytest.raises(ConfigurationTypeError, match="topics"):
            checked_topics(wrong)


def test_a_call_of_the_broker_gets_a_third_of_the_lease() -> None:
    assert checked_lease(30, None) == (30, 10)
    assert checked_lease(30, 3) == (30, 3)
