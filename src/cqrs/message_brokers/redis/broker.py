"""Publishing to streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, MessageRefusedError
from cqrs.message_brokers.connecting import PerLoop
from cqrs.message_brokers.encoding import Encoder
from cqrs.message_brokers.errors import MessageTooLargeError, translated
from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.redis.server import StreamServer, fields_of

if TYPE_CHECKING:
    from cqrs.serializers.protocol import Serializer

__all__ = ["RedisMessageBroker"]

CONNECTIONS = 8
PIPELINE = 500

_logger = logging.getLogger(__name__)


class RedisMessageBroker:
    """Appends messages to the streams that they name.

    The server's answer says that it holds the message in memory: what a crash costs depends on its
    persistence (``appendfsync``) and its replicas.

    Args:
        target: a URL, a client of redis-py or valkey-py, whose address is used, or a function without
            arguments that returns an asyncio client.
        max_length: entries that a stream keeps, about; older ones are dropped, handled or not. Default:
            ``None``, all.
        max_body: bytes of the largest body, at least 1. Default 16 MiB: the server has it in memory.
        serializer: makes the body of a payload; payloads of ``bytes`` travel as they are. Default: JSON.
        timeout: seconds that a command may take, with connecting, more than 0. Default 5.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: neither redis nor valkey is installed.
    """

    def __init__(
        self,
        target: object,
        *,
        max_length: int | None = None,
        max_body: int = 16_777_216,
        serializer: Serializer | Callable[[Any], bytes] | None = None,
        timeout: float = 5.0,
    ) -> None:
        for name, value in (("max_length", max_length), ("max_body", max_body)):
            if value is not None and value < 1:
                raise ConfigurationError(f"{name}={value!r} is not allowed: it must be at least 1")
        self._server = StreamServer(target, timeout, "the broker of streams")
        self._max_length = max_length
        self._max_body = max_body
        self._encoder = Encoder(serializer)
        self._turns = PerLoop(lambda: asyncio.Semaphore(CONNECTIONS))

    async def start(self) -> None:
        """Connect; otherwise the first message does.

        Raises:
            BrokerUnavailableError: the server does not answer.
        """
        with translated("", self._server.error):
            await self._server.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._server.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send_message(self, message: Message) -> None:
        """Append one message; return when the server has it.

        Raises:
            MessageRefusedError: it cannot be serialised, is too large or not allowed, or the key holds
                something else than a stream.
            BrokerUnavailableError: the server cannot be reached, did not answer in time, or takes no writes
                now; it may have been appended.
        """
        fields = self._fields(message)
        async with self._turns.get():
            await self._server.call(message.topic, lambda client: self._append(client, message, fields))
        self._log(message)

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Append all messages; return what became of each, in their order: ``None`` or the error."""
        results: list[Exception | None] = []
        for begin in range(0, len(messages), PIPELINE):
            some = messages[begin : begin + PIPELINE]
            results += await self._pipeline(some)
            down = next((each for each in results[begin:] if isinstance(each, BrokerUnavailableError)), None)
            if down is not None:
                rest = messages[begin + PIPELINE :]
                results += [BrokerUnavailableError(each.topic, f"not sent: {down.reason}") for each in rest]
                break
        return results

    async def _pipeline(self, messages: Sequence[Message]) -> list[Exception | None]:
        results: list[Exception | None] = [None] * len(messages)
        ready: dict[int, dict[str, bytes | str]] = {}
        for position, message in enumerate(messages):
            try:
                ready[position] = self._fields(message)
            except Exception as error:
                results[position] = error

        async def append(client: Any) -> list[object]:
            async with client.pipeline(transaction=False) as pipeline:
                for position, fields in ready.items():
                    self._append(pipeline, messages[position], fields)
                answers: list[object] = await pipeline.execute(raise_on_error=False)
                return answers

        if not ready:
            return results
        try:
            async with self._turns.get():
                answers = await self._server.call(messages[0].topic, append)
        except (BrokerUnavailableError, MessageRefusedError) as error:
            for position in ready:
                failed = BrokerUnavailableError(messages[position].topic, error.reason)
                failed.__cause__ = error.__cause__
                results[position] = failed
            return results
        for position, answer in zip(ready, answers, strict=True):
            if isinstance(answer, Exception):
                results[position] = known = self._server.error(messages[position].topic, answer)
                known.__cause__ = answer
            else:
                self._log(messages[position])
        return results

    def _append(self, client: Any, message: Message, fields: dict[str, bytes | str]) -> Any:
        return client.xadd(message.topic, fields, maxlen=self._max_length, approximate=True)

    def _fields(self, message: Message) -> dict[str, bytes | str]:
        body, headers = self._encoder.encode(message)
        if len(body) > self._max_body:
            raise MessageTooLargeError(
                message.topic,
                f"the body of {message.message_name} has {len(body)} bytes, of {self._max_body}",
            )
        return fields_of(body, headers)

    def _log(self, message: Message) -> None:
        if _logger.isEnabledFor(logging.DEBUG):
            fields = {"message_id": str(message.message_id), "topic": message.topic}
            _logger.debug("sent %s to a stream", message.message_name, extra=fields)
