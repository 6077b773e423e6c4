"""FastStream: its subscribers feed an event mediator, its brokers publish our messages.

Needs ``pip install "holdfast[faststream]"`` and the library of the broker::

    broker = KafkaBroker("localhost:9092")
    bridge(broker, mediator, {"UserJoined": UserJoined}, "users", group_id="mail")
    app = FastStream(broker)

FastStream receives, acknowledges and delivers again as it does for every subscriber. What ``cqrs.Consumer``
adds (attempts with backoff, dead letters, order with concurrency, open circuits that cost no attempt) is not
here.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from cqrs.circuit_breaker import validation
from cqrs.consumers.handling import EventHandling, Inbox, Mediator
from cqrs.consumers.reading import EventReader, EventTypes, UnknownEventError
from cqrs.consumers.tracing import Tracing
from cqrs.deserializers.json import JsonDeserializer
from cqrs.deserializers.protocol import DeserializerFactory
from cqrs.exceptions import BrokerUnavailableError, ConfigurationTypeError, DeserializationError
from cqrs.message_brokers.encoding import Encoder
from cqrs.message_brokers.headers import KEY, MESSAGE_NAME, message_id_of
from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["FastStreamMessageBroker", "bridge"]

_logger = logging.getLogger(__name__)


def bridge(
    broker: Any,
    mediator: Mediator,
    events: EventTypes,
    *destination: Any,
    deserializer: DeserializerFactory = JsonDeserializer,
    inbox: Inbox | None = None,
    handler_timeout: float | None = None,
    unknown: Literal["reject", "ignore"] = "reject",
    **subscriber: Any,
) -> Callable[[Any], Awaitable[None]]:
    """Subscribe to a destination of FastStream and send what comes as events through a mediator.

    An error of a handler crosses into FastStream, whose ``ack_policy`` decides: by default the message is to
    be delivered again (``AckPolicy.NACK_ON_ERROR``; Kafka needs a ``group_id`` for that, NATS and Redis a
    ``stream``). What cannot be read is rejected, so that a broker with dead letters puts it there.

    Args:
        broker: a broker or router of FastStream.
        mediator: handles events: an ``EventMediator``.
        events: event name -> event type; the name is the header ``message_name``.
        destination: positional arguments of ``broker.subscriber``: topic, queue, subject.
        deserializer: makes what reads an event type; ``JsonDeserializer`` by default.
        inbox: handles each message once: a ``cqrs.inbox.InboxProcessor``.
        handler_timeout: seconds for the handlers of one message together, > 0; ``None``: any.
        unknown: what becomes of messages with unknown names: ``"reject"``, or ``"ignore"``.
        subscriber: keyword arguments of ``broker.subscriber``.

    Returns:
        The subscriber, as ``broker.subscriber`` returns it.

    Raises:
        ConfigurationError: an argument is of the wrong kind.
        ImportError: FastStream is not installed.
    """
    library = _library()
    if not callable(getattr(broker, "subscriber", None)):
        raise ConfigurationTypeError(f"broker must be a broker or router of FastStream, not {broker!r}")
    if handler_timeout is not None:
        handler_timeout = validation.seconds("handler_timeout", handler_timeout)
    validation.choice("unknown", unknown, ("reject", "ignore"))
    reader = EventReader(events, deserializer)
    handling = EventHandling(mediator, inbox, handler_timeout, Tracing())

    async def handle(message: Any) -> None:
        received = received_message(message)
        try:
            event = reader.read(received)
        except DeserializationError as error:
            if unknown == "ignore" and isinstance(error, UnknownEventError):
                _logger.debug("a message of %s is ignored: %s", received.topic, error)
                return
            _logger.error("a message of %s is rejected: %s", received.topic, error)
            raise library.exceptions.RejectMessage from error
        await handling.handle(received, event, received.attempt)

    # Without the string annotations of this module, which FastStream would evaluate.
    handle.__annotations__ = {"message": Any, "return": None}
    subscriber = {"decoder": _undecoded, **subscriber}
    if _acknowledges(broker, subscriber):
        # FastStream's own choice would, for most brokers, lose what a handler could not handle.
        subscriber.setdefault("ack_policy", library.AckPolicy.NACK_ON_ERROR)
    subscribed: Callable[[Any], Awaitable[None]] = broker.subscriber(*destination, **subscriber)(handle)
    return subscribed


def received_message(message: Any) -> ReceivedMessage:
    """Return a ``StreamMessage`` of FastStream as ours."""
    headers = {str(name): str(value) for name, value in message.headers.items()}
    raw = message.raw_message
    return ReceivedMessage(
        body=message.body,
        headers=headers,
        message_name=headers.get(MESSAGE_NAME),
        topic=_topic(raw),
        message_id=message_id_of(headers, message.message_id),
        key=headers.get(KEY),
        position=str(message.message_id),
        raw=message,
    )


class FastStreamMessageBroker:
    """A ``MessageBroker`` that publishes through a broker of FastStream, which must be connected.

    Args:
        broker: the broker.
        serializer: makes the body of a payload; JSON by default.
        destination: makes of a message the keyword arguments of ``broker.publish`` that say where it goes,
            such as ``lambda message: {"stream": message.topic}``; by default its topic is the topic, queue,
            subject or channel.
        timeout: seconds after which sending is given up, more than 0; then the message may or may not have
            been published. Default 30.

    Raises:
        ConfigurationError: the broker has no ``publish``, or another timeout.
    """

    def __init__(
        self,
        broker: Any,
        serializer: Callable[[Any], bytes] | None = None,
        *,
        destination: Callable[[Message], Mapping[str, Any]] | None = None,
        timeout: float = 30.0,
    ) -> None:
        publish: Any = getattr(broker, "publish", None)
        if publish is None:
            raise ConfigurationTypeError(f"broker must be a broker of FastStream, not {broker!r}")
        self._publish: Callable[..., Awaitable[object]] = publish
        self._encoder = Encoder(serializer)
        self._destination = destination
        self._timeout = validation.seconds("timeout", timeout)
        self._options = inspect.signature(publish).parameters

    async def send_message(self, message: Message) -> None:
        """Publish one message; return when the broker has taken it over, as far as FastStream waits for that.

        Raises:
            MessageRefusedError: it cannot be serialised.
            BrokerUnavailableError: FastStream could not publish it.
        """
        body, headers = self._encoder.encode(message)
        options: dict[str, Any] = {"headers": headers, "correlation_id": str(message.message_id)}
        if "message_id" in self._options:
            options["message_id"] = str(message.message_id)
        if "key" in self._options and message.key is not None:
            options["key"] = message.key.encode()
        where = (message.topic,) if self._destination is None else ()
        if self._destination is not None:
            options |= self._destination(message)
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                await self._publish(body, *where, **options)
        except Exception as error:
            if limit.expired():
                late = f"no answer within {self._timeout:g} s; it may have been published"
                raise BrokerUnavailableError(message.topic, late) from error
            raise BrokerUnavailableError(message.topic, f"not published: {error}") from error


def _library() -> Any:
    try:
        faststream = importlib.import_module("faststream")
        importlib.import_module("faststream.exceptions")
    except ImportError as error:
        raise ImportError('cqrs.contrib.faststream needs pip install "holdfast[faststream]"') from error
    return faststream


def _acknowledges(broker: Any, subscriber: Mapping[str, Any]) -> bool:
    """Tell whether there is anything to acknowledge: NATS and Redis have it for streams alone."""
    kind = type(broker).__module__
    return subscriber.get("stream") is not None or not (".nats" in kind or ".redis" in kind)


async def _undecoded(message: Any) -> Any:
    # The deserializer reads the bytes: FastStream would guess what they are.
    return message


def _topic(raw: Any) -> str:
    if isinstance(raw, Mapping):  # Redis
        return _text(raw.get("channel"))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    for name in ("topic", "subject", "routing_key"):
        value = getattr(raw, name, None)
        if value is not None:
            return _text(value)
    return ""


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
