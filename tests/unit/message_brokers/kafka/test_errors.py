"""Which errors of aiokafka are for good."""

from __future__ import annotations

import pytest

pytest.importorskip("aiokafka")

from aiokafka import errors

from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.kafka.errors import broker_error, needs_new_producer


@pytest.mark.parametrize(
    "error",
    [
        errors.TopicAuthorizationFailedError("users"),
        errors.InvalidTopicError(),
        errors.PolicyViolationError(),
        ValueError("no topic"),
    ],
    ids=repr,
)
def test_refused(error: Exception) -> None:
    assert type(broker_error("users", error)) is MessageRefusedError


@pytest.mark.parametrize(
    "error",
    [
        errors.MessageSizeTooLargeError("1 MB"),
        errors.RecordListTooLargeError(),
        errors.RecordTooLargeError(),
    ],
    ids=repr,
)
def test_too_large(error: Exception) -> None:
    assert type(broker_error("users", error)) is MessageTooLargeError


@pytest.mark.parametrize(
    "error",
    [
        errors.KafkaConnectionError("down"),
        errors.KafkaTimeoutError(),
        errors.UnknownTopicOrPartitionError(),
        errors.NotEnoughReplicasError(),
        errors.RequestTimedOutError(),
        OSError("down"),
    ],
    ids=repr,
)
def test_for_now(error: Exception) -> None:
    known = broker_error("users", error)

    assert isinstance(known, BrokerUnavailableError)
    assert known.topic == "users"
    assert known.reason


def test_what_is_known_already_stays() -> None:
    error = MessageRefusedError("users", "no")

    assert broker_error("other", error) is error


def test_a_fenced_producer_is_of_no_more_use() -> None:
    assert needs_new_producer(errors.OutOfOrderSequenceNumber())
    assert not needs_new_producer(errors.KafkaConnectionError())
