"""What errors of RabbitMQ mean."""

from __future__ import annotations

import pytest

pytest.importorskip("aio_pika")

from aiormq import exceptions, spec

from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.amqp.link import amqp_error
from cqrs.message_brokers.errors import MessageTooLargeError as TOO_LARGE


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            exceptions.ChannelPreconditionFailed("size 7 is larger than configured max size 6"),
            TOO_LARGE,
        ),
        (exceptions.ConnectionFrameError("FRAME_ERROR - type 2: {frame_too_large,7,6}"), TOO_LARGE),
        (exceptions.ChannelPreconditionFailed("other arguments"), MessageRefusedError),
        (exceptions.ChannelNotFoundEntity("no exchange"), MessageRefusedError),
        (exceptions.ChannelAccessRefused("not allowed"), MessageRefusedError),
        (ValueError("routing key too long"), MessageRefusedError),
        (exceptions.DeliveryError(None, spec.Basic.Nack()), BrokerUnavailableError),
        (exceptions.ConnectionClosed(320, "shutdown"), BrokerUnavailableError),
        (exceptions.ChannelInvalidStateError("closed"), BrokerUnavailableError),
        (ConnectionResetError(), BrokerUnavailableError),
    ],
    ids=repr,
)
def test_errors(error: Exception, kind: type[Exception]) -> None:
    known = amqp_error("users", error)

    assert type(known) is kind
    assert known.topic == "users"
