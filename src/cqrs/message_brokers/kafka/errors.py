"""Which errors of aiokafka mean that a message will never be taken."""

from __future__ import annotations

import functools

from cqrs.adapters.kafka import aiokafka
from cqrs.exceptions import BrokerUnavailableError, MessageBrokerError, MessageRefusedError
from cqrs.message_brokers.errors import MessageTooLargeError, reason_of

__all__ = ["broker_error", "needs_new_producer"]

# An unknown topic is not among them: aiokafka says so too when no broker tells it in time.
_REFUSED = (
    "ClusterAuthorizationFailedError",
    "InvalidTimestampError",
    "InvalidTopicError",
    "PolicyViolationError",
    "TopicAuthorizationFailedError",
    "UnsupportedForMessageFormatError",
)
_TOO_LARGE = ("MessageSizeTooLargeError", "RecordListTooLargeError", "RecordTooLargeError")
# After these, an idempotent producer fails for ever.
_LOST = (
    "InvalidProducerEpoch",
    "InvalidProducerIdMapping",
    "OutOfOrderSequenceNumber",
    "ProducerClosed",
    "ProducerFenced",
    "UnknownProducerId",
)


def broker_error(topic: str, error: Exception) -> MessageBrokerError:
    """Return what an error of aiokafka means to whoever sent a message; raise it ``from`` the error."""
    if isinstance(error, MessageBrokerError):
        return error
    reason = reason_of(error)
    if isinstance(error, _kinds(_TOO_LARGE)):
        return MessageTooLargeError(topic, f"Kafka refuses the message: {reason}")
    if isinstance(error, (TypeError, ValueError, AssertionError, *_kinds(_REFUSED))):
        return MessageRefusedError(topic, f"Kafka refuses the message: {reason}")
    if isinstance(error, _kinds(("UnknownTopicOrPartitionError",))):
        return BrokerUnavailableError(topic, "there is no such topic, or no broker told of it in time")
    return BrokerUnavailableError(topic, f"Kafka does not take the message: {reason}")


def needs_new_producer(error: BaseException) -> bool:
    """Tell whether a producer is of no more use after ``error``."""
    return isinstance(error, _kinds(_LOST))


@functools.cache
def _kinds(names: tuple[str, ...]) -> tuple[type[Exception], ...]:
    errors = aiokafka().errors
    return tuple(getattr(errors, name) for name in names)
