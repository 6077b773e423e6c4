"""Receiving from JetStream, by a durable consumer that is asked."""

from __future__ import annotations

import asyncio
import collections
import json
import time
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Self

from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, MessageBrokerError
from cqrs.message_brokers.connecting import Halt, Ongoing, check_seconds, not_cancelled
from cqrs.message_brokers.dead_letters import put_aside
from cqrs.message_brokers.errors import reason_of
from cqrs.message_brokers.headers import KEY, MESSAGE_NAME, message_id_of
from cqrs.message_brokers.nats.connection import JetStream, Line, NatsConnection, nats_error, read_headers
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["NatsMessageSource"]

POLL = 0.5
"""Seconds for which the server is asked to wait for messages, at most."""

ACK, NAK, IN_PROGRESS = b"+ACK", b"-NAK", b"+WPI"  # NATS, ADR-15


class NatsMessageSource:
    """A ``MessageSource`` over a durable consumer of a stream, which several processes share.

    Args:
        connection: URLs of servers, or a ``NatsConnection``.
        subject: what is consumed; a stream must be in charge of it. May have wildcards.
        durable: name of the consumer; it is made when it is missing, and otherwise taken as it is.
        stream: name of the stream. Default: the one in charge of ``subject``.
        prefetch: messages that are asked for at once, at least 1. Default 10.
        ack_wait: seconds after which a message that is neither settled nor extended is delivered again, more
            than 0; of a consumer that exists, it should be the consumer's own. Default 30.
        dead_letter_suffix: dead letters of a subject go to the subject of that name, which a stream must be
            in charge of, and this consumer not. Default ``".dead"``.
        from_beginning: whether a new consumer begins with the oldest message. Default ``True``.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: nats-py is not installed.
    """

    def __init__(
        self,
        connection: str | NatsConnection,
        subject: str,
        durable: str,
        *,
        stream: str | None = None,
        prefetch: int = 10,
        ack_wait: float = 30.0,
        dead_letter_suffix: str = ".dead",
        from_beginning: bool = True,
    ) -> None:
        if not subject or not durable or not dead_letter_suffix:
            raise ConfigurationError("NatsMessageSource needs a subject, a durable and a dead_letter_suffix")
        if prefetch < 1:
            raise ConfigurationError(f"prefetch={prefetch!r} is not allowed: it must be at least 1")
        self._jetstream = JetStream(connection, "the source over NATS")
        self._subject = subject
        self._durable = durable
        self._stream = stream
        self._prefetch = prefetch
        self._ack_wait = check_seconds("ack_wait", ack_wait)
        self._suffix = dead_letter_suffix
        self._from_beginning = from_beginning
        self._halt = Halt()
        self._line: Line | None = None
        self._subscription: Any = None
        self._buffer: collections.deque[tuple[float, Any]] = collections.deque()
        self._fetching = Ongoing("fetch-messages")

    async def start(self) -> None:
        """Connect, and make the consumer if it is missing.

        Raises:
            BrokerUnavailableError: no server can be reached, or no stream is in charge of the subject.
        """
        if self._subscription is not None and not self._halt.wanted and not self._is_lost:
            return
        await self._unsubscribe()
        try:
            await self._jetstream.start()
            line = await self._jetstream.line()
            async with asyncio.timeout(self._jetstream.timeout):
                self._subscription = await line.answer(self._subscribe(line.client))
        except Exception as error:
            raise self._lost(error) from error
        self._line = line
        self._halt.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def messages(self) -> AsyncIterator[ReceivedMessage]:
        """Yield messages until ``stop``.

        Raises:
            BrokerUnavailableError: the connection is lost; call it again to go on.
        """
        while not self._halt.wanted:
            if self._subscription is None:
                await self.start()
            if not self._buffer:
                await self._fetch()
                continue
            since, message = self._buffer.popleft()
            if time.monotonic() - since < self._ack_wait:  # else it is delivered again already
                yield _received(message)

    async def ack(self, message: ReceivedMessage) -> None:
        """Acknowledge the message; return when the server knows."""
        await self._settle(message, ACK, sure=True)

    async def retry(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message come again, as another attempt, in ``delay`` seconds."""
        nanoseconds = max(0, round(delay * 1e9))
        wanted = b" " + json.dumps({"delay": nanoseconds}).encode() if nanoseconds else b""
        await self._settle(message, NAK + wanted)
        return True

    async def extend(self, message: ReceivedMessage) -> None:
        """Keep the message for another ``ack_wait``."""
        await self._settle(message, IN_PROGRESS)

    async def dead_letter(self, message: ReceivedMessage, reason: str, attempts: int) -> None:
        """Publish the message to the subject of dead letters, with ``reason`` and ``attempts``; then ack it.

        Raises:
            MessageRefusedError, BrokerUnavailableError: it could not be published; it is not settled.
        """
        # Not the identity of the message: a stream that has both subjects would take it for a duplicate.
        identity = f"dead {self._durable} {message.position}"
        subject = f"{message.topic}{self._suffix}"

        async def publish(body: bytes, headers: dict[str, str]) -> None:
            await self._jetstream.publish(subject, body, headers, identity)

        await put_aside(message, reason, attempts, publish)
        await self.ack(message)

    async def release(self, message: ReceivedMessage) -> None:
        """Give the message back; JetStream counts its next delivery as another attempt."""
        await self._settle(message, NAK)

    async def stop(self) -> None:
        """Hand over no more messages, and give back those that were fetched."""
        self._halt.set()
        await self._fetching.finish()  # within half a second
        try:
            while self._buffer:
                _, message = self._buffer.popleft()
                await self._settle(_received(message), NAK)
        except MessageBrokerError:
            self._buffer.clear()  # they are delivered again after ack_wait
        await self._unsubscribe()

    async def close(self) -> None:
        """Disconnect; what was not settled is delivered again after ``ack_wait``."""
        self._halt.set()
        try:
            await self.stop()
        finally:
            await self._jetstream.close()

    async def _subscribe(self, client: Any) -> Any:
        api = import_module("nats.js.api")
        policy = api.DeliverPolicy.ALL if self._from_beginning else api.DeliverPolicy.NEW
        configuration = api.ConsumerConfig(
            ack_policy=api.AckPolicy.EXPLICIT, ack_wait=self._ack_wait, deliver_policy=policy, max_deliver=-1
        )
        return await client.jetstream(timeout=self._jetstream.timeout).pull_subscribe(
            self._subject, durable=self._durable, stream=self._stream, config=configuration
        )

    @property
    def _is_lost(self) -> bool:
        return self._line is None or self._line.is_lost

    async def _fetch(self) -> None:
        if self._is_lost:
            await self._unsubscribe()
            raise self._lost(ConnectionAbortedError("the connection is lost"))
        try:
            # Of a request that is cancelled, the messages would be out for ``ack_wait``.
            await self._fetching.wait(self._fill, self._halt)
        except Exception as error:
            await self._unsubscribe()
            raise self._lost(error) from error

    async def _fill(self) -> None:
        try:
            async with not_cancelled():
                found = await self._subscription.fetch(
                    self._prefetch, timeout=min(POLL, self._jetstream.timeout)
                )
        except TimeoutError:  # that of nats-py, too: there is nothing
            return
        since = time.monotonic()
        self._buffer.extend((since, message) for message in found)

    async def _settle(self, message: ReceivedMessage, answer: bytes, *, sure: bool = False) -> None:
        # Over any connection: what is settled is known by its subject.
        try:
            async with asyncio.timeout(self._jetstream.timeout):
                line = await self._jetstream.line()
                if sure:
                    timeout = self._jetstream.timeout
                    await line.answer(line.client.request(message.raw.reply, answer, timeout=timeout))
                else:
                    async with not_cancelled():
                        await line.client.publish(message.raw.reply, answer)
        except Exception as error:
            known = nats_error(message.topic, error)
            raise BrokerUnavailableError(message.topic, known.reason) from error

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._is_lost:
            errors = import_module("nats.errors")
            try:
                async with asyncio.timeout(self._jetstream.timeout), not_cancelled():
                    await subscription.unsubscribe()
            except (errors.Error, OSError):
                pass  # with its connection, the subscription ends as well

    def _lost(self, error: Exception) -> BrokerUnavailableError:
        where = self._jetstream.settings.shown
        why = f"nothing comes from NATS at {where}: {reason_of(error)}"
        return BrokerUnavailableError(self._subject, why)


def _received(message: Any) -> ReceivedMessage:
    headers = read_headers(message.headers)
    key = headers.get(KEY)
    known = message.metadata
    return ReceivedMessage(
        body=message.data,
        headers=headers,
        message_name=headers.get(MESSAGE_NAME),
        topic=message.subject,
        message_id=message_id_of(headers),
        key=key,
        attempt=known.num_delivered or 1,
        position=f"{known.stream}/{known.sequence.stream}",
        raw=message,
        ordering=None if key is None else (message.subject, key),
    )
