"""What type checkers infer about messages in and out; read by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type

import cqrs
from cqrs.consumers import Consumer, ConsumerStatistics, ErrorAction, current_message
from cqrs.deserializers import Deserializer, DeserializerFactory, JsonDeserializer, MsgspecDeserializer
from cqrs.exceptions import DeserializationError
from cqrs.inbox import InboxProcessor
from cqrs.message_brokers.memory import MemoryMessageBroker
from cqrs.message_brokers.protocol import BatchMessageBroker, MessageBroker
from cqrs.message_brokers.receiving import MessageSource, ReceivedMessage
from cqrs.outbox.map import OutboxedEventMap
from cqrs.serializers import JsonSerializer, MsgspecSerializer, ProtobufSerializer, Serializer


class Joined(cqrs.NotificationEvent[int], frozen=True):
    pass


def deserializers_know_their_model(data: bytes) -> None:
    assert_type(JsonDeserializer(Joined)(data), Joined)
    assert_type(JsonDeserializer(Joined)(None), None)
    assert_type(MsgspecDeserializer(Joined, "msgpack")(data), Joined)
    factory: DeserializerFactory = JsonDeserializer
    reader: Deserializer[Joined] = JsonDeserializer(Joined)
    print(factory, reader, DeserializationError("a", "b").reason)


def what_is_ours_fits_the_ports(broker: MemoryMessageBroker) -> None:
    sending: MessageBroker = broker
    batches: BatchMessageBroker = broker
    source: MessageSource = broker.source("users")
    serializers: list[Serializer] = [JsonSerializer(), MsgspecSerializer(), ProtobufSerializer()]
    compressor: cqrs.Compressor = cqrs.ZlibCompressor()
    print(sending, batches, source, serializers, compressor)


def give_up(message: ReceivedMessage, error: Exception, attempt: int) -> ErrorAction:
    return "dead_letter"


async def consumers_take_mediators_inboxes_and_maps(
    source: MessageSource, mediator: cqrs.EventMediator, inbox: InboxProcessor
) -> None:
    consumer = Consumer(source, mediator, {"Joined": Joined}, inbox=inbox, on_error=give_up)
    assert_type(consumer.statistics, ConsumerStatistics)
    assert_type(current_message(), ReceivedMessage | None)
    async with Consumer(source, mediator, OutboxedEventMap) as entered:
        assert_type(entered, Consumer)
