"""Publishing to Kafka."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from cqrs.adapters.kafka import ReconnectingProducer
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, ConfigurationTypeError
from cqrs.message_brokers.connecting import check_seconds
from cqrs.message_brokers.encoding import Encoder
from cqrs.message_brokers.errors import translated
from cqrs.message_brokers.headers import encode
from cqrs.message_brokers.kafka.errors import broker_error, needs_new_producer
from cqrs.message_brokers.protocol import Message

if TYPE_CHECKING:
    from cqrs.adapters.protocol import KafkaProducer
    from cqrs.serializers.protocol import Serializer

__all__ = ["KafkaMessageBroker"]

_logger = logging.getLogger(__name__)


class KafkaMessageBroker:
    """Publishes messages to the topics that they name; their key chooses the partition.

    Args:
        producer: of ``cqrs.adapters.kafka.kafka_producer_factory``, which is started and stopped with the
            broker; or a started ``aiokafka.AIOKafkaProducer``, which is not, and should have ``acks="all"``.
        log_level: at which each message is logged, without its content. Default ``"DEBUG"``.
        serializer: makes the body of a payload; payloads of ``bytes`` travel as they are. Default: JSON.
        timeout: seconds after which sending is given up, more than 0; then the message may or may not have
            been published. Default 30.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
    """

    def __init__(
        self,
        producer: KafkaProducer,
        log_level: str | int = "DEBUG",
        *,
        serializer: Serializer | Callable[[Any], bytes] | None = None,
        timeout: float = 30.0,
    ) -> None:
        if not callable(getattr(producer, "send", None)):
            raise ConfigurationTypeError(
                f"KafkaMessageBroker needs a producer, such as kafka_producer_factory makes; got {producer!r}"
            )
        level = logging.getLevelNamesMapping().get(log_level) if isinstance(log_level, str) else log_level
        if level is None:
            raise ConfigurationError(f"log_level={log_level!r} is not a level of logging")
        self._producer = producer
        self._level = level
        self._encoder = Encoder(serializer)
        self._timeout = check_seconds("timeout", timeout)

    async def start(self) -> None:
        """Connect; otherwise the first message does.

        Raises:
            BrokerUnavailableError: no broker can be reached.
        """
        if isinstance(self._producer, ReconnectingProducer):
            await self._producer.start()

    async def close(self) -> None:
        """Disconnect a producer of ``kafka_producer_factory``."""
        if isinstance(self._producer, ReconnectingProducer):
            await self._producer.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send_message(self, message: Message) -> None:
        """Publish one message; return when all replicas in step have it.

        Raises:
            MessageRefusedError: it cannot be serialised, is too large or not allowed.
            BrokerUnavailableError: Kafka cannot be reached or did not answer; it may have been published.
        """
        with translated(message.topic, broker_error):
            try:
                async with asyncio.timeout(self._timeout):
                    await (await self._queue(message))
            except TimeoutError as error:
                raise self._late(message) from error
            except Exception as error:
                await self._renew(error)
                raise
        self._log(message)

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Publish all messages; return what became of each, in their order: ``None`` or the error.

        Messages of the same topic and key keep their order, save where one fails and a later one does not.
        """
        results: list[Exception | None] = [None] * len(messages)
        queued: dict[int, Awaitable[Any]] = {}
        done: set[int] = set()
        try:
            async with asyncio.timeout(self._timeout):
                await self._queue_all(messages, queued, results)
                for position, future in queued.items():
                    try:
                        await future
                        self._log(messages[position])
                    except Exception as error:
                        results[position] = error
                    done.add(position)
        except TimeoutError:
            for position, message in enumerate(messages):
                if position not in done and results[position] is None:
                    results[position] = self._late(message)
        finally:
            for position, future in queued.items():
                if position not in done:
                    _forget(future)
        for position, failure in enumerate(results):
            if failure is not None:
                await self._renew(failure)
                results[position] = known = broker_error(messages[position].topic, failure)
                if known is not failure:
                    known.__cause__ = failure
        return results

    async def _queue_all(
        self,
        messages: Sequence[Message],
        queued: dict[int, Awaitable[Any]],
        results: list[Exception | None],
    ) -> None:
        by_topic: dict[str, list[int]] = {}
        for position, message in enumerate(messages):
            by_topic.setdefault(message.topic, []).append(position)

        async def queue(positions: list[int]) -> None:
            down: Exception | None = None
            for position in positions:
                try:
                    if down is not None:  # each would wait as long for the same answer
                        raise BrokerUnavailableError(messages[position].topic, str(down)) from down
                    queued[position] = await self._queue(messages[position])
                except Exception as error:
                    results[position] = error
                    if isinstance(broker_error("", error), BrokerUnavailableError):
                        down = down or error

        if len(by_topic) == 1:
            await queue(next(iter(by_topic.values())))
            return
        # A topic that nobody knows is waited for; the others need not.
        async with asyncio.TaskGroup() as tasks:
            for positions in by_topic.values():
                tasks.create_task(queue(positions))

    async def _queue(self, message: Message) -> Awaitable[Any]:
        body, headers = self._encoder.encode(message)
        key = None if message.key is None else message.key.encode()
        return await self._producer.send(message.topic, value=body, key=key, headers=encode(headers))

    async def _renew(self, error: Exception) -> None:
        if needs_new_producer(error) and isinstance(self._producer, ReconnectingProducer):
            await self._producer.replace()

    def _late(self, message: Message) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            message.topic, f"no answer of Kafka within {self._timeout:g} s; it may have been published"
        )

    def _log(self, message: Message) -> None:
        if _logger.isEnabledFor(self._level):
            fields = {"message_id": str(message.message_id), "topic": message.topic}
            _logger.log(self._level, "sent %s to Kafka", message.message_name, extra=fields)


def _forget(future: Awaitable[Any]) -> None:
    """Give up waiting; an error that has come meanwhile is not complained about."""
    task = asyncio.ensure_future(future)
    if not task.cancel() and not task.cancelled():
        task.exception()
