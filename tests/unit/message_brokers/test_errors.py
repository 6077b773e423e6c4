"""Errors of libraries become those of brokers, and keep their causes."""

from __future__ import annotations

import asyncio

import pytest

from cqrs.exceptions import BrokerUnavailableError, MessageBrokerError
from cqrs.message_brokers.errors import translated


def down(topic: str, error: Exception) -> MessageBrokerError:
    return BrokerUnavailableError(topic, str(error))


def test_an_error_of_a_library_is_the_cause_of_what_is_raised() -> None:
    error = OSError("no route")
    with (
        pytest.raises(BrokerUnavailableError, match="'users': no route") as caught,
        translated("users", down),
    ):
        raise error

    assert caught.value.__cause__ is error


def test_an_error_that_is_known_passes_with_its_own_cause() -> None:
    known, error = BrokerUnavailableError("", "nobody there"), OSError("no route")
    with pytest.raises(BrokerUnavailableError) as caught, translated("users", down):
        raise known from error

    assert caught.value is known
    assert known.__cause__ is error


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()], ids=repr)
def test_what_is_no_failure_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, translated("users", down):
        raise error

    assert caught.value is error
