"""Receiving from Kafka, as a member of a consumer group."""

from __future__ import annotations

import asyncio
import collections
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Container, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Self

from cqrs.adapters.kafka import (
    KafkaConnection,
    abandon_consumer,
    aiokafka,
    kafka_producer_factory,
)
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, ConfigurationTypeError
from cqrs.message_brokers.connecting import Halt, bounded, check_seconds
from cqrs.message_brokers.dead_letters import put_aside
from cqrs.message_brokers.errors import reason_of, translated
from cqrs.message_brokers.headers import KEY, MESSAGE_NAME, decode, encode, message_id_of
from cqrs.message_brokers.kafka.errors import broker_error
from cqrs.message_brokers.kafka.positions import Partition, Positions
from cqrs.message_brokers.receiving import ReceivedMessage

if TYPE_CHECKING:
    from cqrs.adapters.protocol import KafkaProducer

__all__ = ["KafkaMessageSource"]

POLL = 1.0  # seconds after which aiokafka is asked again
BATCH = 100
# A member whose application asks for nothing for max_poll_interval_ms (5 minutes) leaves the group; it is
# asked in the name of messages that are still in work.
ALIVE = 30.0
LARGEST = (
    2**30
)  # bytes of a dead letter: the broker decides, of which others may have larger messages than we

_logger = logging.getLogger(__name__)


class KafkaMessageSource:
    """A ``MessageSource`` over topics of Kafka, whose partitions are shared by the members of a group.

    The order of a partition is ``ReceivedMessage.ordering``. Positions are committed behind the messages that
    are settled without a gap, at most every ``commit_interval`` and when a partition is taken away, on
    ``stop`` and on ``close``: after a crash, what was settled since the last commit comes again. Kafka
    cannot deliver one message later than the next: ``retry`` answers ``False``. aiokafka finds lost brokers
    again by itself.

    Args:
        connection: the ``dsn`` of some brokers, or a ``KafkaConnection``.
        topics: at least one.
        group_id: the name of the group.
        producer: publishes dead letters. Default: one with the same connection, and no limit to their size.
        dead_letter_topic: where dead letters of a topic go. Default: ``"<topic>.dead"``.
        from_beginning: whether a group without a position begins with the oldest message. Default ``True``.
        commit_interval: seconds between two commits, at least 0. Default 0.5.
        rebalance_timeout: seconds for which messages in work may keep back a partition that goes to another
            member; after that they are delivered there too. At least 0. Default 10.
        options: more arguments of ``aiokafka.AIOKafkaConsumer``, such as ``session_timeout_ms``.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: aiokafka is not installed.
    """

    def __init__(
        self,
        connection: str | KafkaConnection,
        topics: Sequence[str],
        group_id: str,
        *,
        producer: KafkaProducer | None = None,
        dead_letter_topic: Callable[[str], str] = "{}.dead".format,
        from_beginning: bool = True,
        commit_interval: float = 0.5,
        rebalance_timeout: float = 10.0,
        **options: Any,
    ) -> None:
        self._library = aiokafka()
        self._connection = KafkaConnection(connection) if isinstance(connection, str) else connection
        if isinstance(topics, str):
            raise ConfigurationTypeError(f"topics must be a list of names, not the text {topics!r}")
        if not topics or not group_id:
            raise ConfigurationError("KafkaMessageSource needs at least one topic, and a group_id")
        self._topics = list(topics)
        self._own_producer = (
            # One record in a batch: a broker that finds a batch too large refuses all that are in it.
            kafka_producer_factory(self._connection, max_request_size=LARGEST, max_batch_size=1)
            if producer is None
            else None
        )
        self._producer: KafkaProducer = producer or self._own_producer  # type: ignore[assignment]  # one of them is
        self._dead_letter_topic = dead_letter_topic
        self._rebalance_timeout = check_seconds("rebalance_timeout", rebalance_timeout, zero=True)
        check_seconds("commit_interval", commit_interval, zero=True)
        self._positions = Positions(commit_interval, self._connection.timeout)
        self._options: dict[str, Any] = {
            "group_id": group_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest" if from_beginning else "latest",
            # The broker waits for members that finish their work; a request to join takes as long.
            "rebalance_timeout_ms": round((rebalance_timeout + self._connection.timeout) * 1000),
            "request_timeout_ms": round((rebalance_timeout + self._connection.timeout * 2) * 1000),
            **options,
        }
        self._consumer: Any = None
        self._buffer: collections.deque[Any] = collections.deque()
        self._held: dict[Partition, collections.deque[Any]] = {}  # of partitions that are paused
        self._halt = Halt()
        self._resumed = Halt()
        self._asked_at = 0.0

    async def start(self) -> None:
        """Join the group; after ``stop``, as a new member.

        Raises:
            BrokerUnavailableError: no broker can be reached in time.
        """
        if self._consumer is not None and not self._halt.wanted:
            return
        await self._leave()
        options = self._connection.client_options() | self._options
        consumer = self._library.AIOKafkaConsumer(**options)
        try:
            consumer.subscribe(self._topics, listener=self._listener(consumer))
            # To be assigned partitions, other members may have to let go of them first.
            limit = self._connection.timeout * (2 + len(self._connection.servers)) + self._rebalance_timeout
            async with asyncio.timeout(limit):
                await consumer.start()
        except BaseException as error:
            await self._end(consumer)
            if isinstance(error, (self._library.errors.KafkaError, OSError)):
                raise self._lost(error) from error
            raise
        self._halt.clear()
        self._consumer = consumer
        self._positions.begin(consumer)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def messages(self) -> AsyncIterator[ReceivedMessage]:
        """Yield messages until ``stop``.

        Raises:
            BrokerUnavailableError: Kafka answers with an error; call it again to go on.
        """
        if self._consumer is None:
            await self.start()
        consumer = self._consumer
        while not self._halt.wanted:
            if not self._buffer:
                await self._fetch(consumer)
                continue
            record = self._buffer.popleft()
            message = _received(record)
            self._positions.deliver(message, _named(record), record.offset)
            yield message

    async def ack(self, message: ReceivedMessage) -> None:
        """Note that the message is handled; its position is committed soon."""
        self._positions.settle(message)

    async def retry(self, message: ReceivedMessage, delay: float) -> bool:
        """Return ``False``: what comes next in the partition would have to wait as well."""
        self._positions.rest(message)
        return False

    async def postpone(self, message: ReceivedMessage, delay: float) -> bool:
        """Return ``False``, as ``retry`` does; if the partition goes meanwhile, it waits for neither."""
        return await self.retry(message, delay)

    async def extend(self, message: ReceivedMessage) -> None:
        """Keep the partition, though nothing was asked for since the message came."""
        if self._consumer is not None and time.monotonic() - self._asked_at > ALIVE:
            await self._fill(self._consumer, 0.0, 1)

    async def dead_letter(self, message: ReceivedMessage, reason: str, attempts: int) -> None:
        """Publish the message to the dead letter topic, with ``reason`` and ``attempts``; then settle it.

        Raises:
            MessageRefusedError, BrokerUnavailableError: it could not be published; it is not settled.
        """
        topic, key = self._dead_letter_topic(message.topic), message.raw.key

        async def publish(body: bytes, headers: dict[str, str]) -> None:
            with translated(topic, broker_error):
                async with asyncio.timeout(self._connection.timeout * 3):
                    await (await self._producer.send(topic, value=body, key=key, headers=encode(headers)))

        await put_aside(message, reason, attempts, publish)
        self._positions.settle(message)

    def is_current(self, message: ReceivedMessage) -> bool:
        """Tell whether the message's partition is still this member's, and stays so."""
        return self._positions.is_current(message)

    async def release(self, message: ReceivedMessage) -> None:
        """Leave the message, and what follows it in its partition, to whoever has the partition next."""
        self._positions.give_back(message)

    def pause(self, ordering: Hashable) -> None:
        """Hand over nothing more of a partition until ``resume``, or until it is taken away."""
        for partition in (_named(each) for each in self._assigned()):
            if partition == ordering and partition not in self._held:
                held, kept = collections.deque[Any](), collections.deque[Any]()
                for record in self._buffer:
                    (held if _named(record) == partition else kept).append(record)
                self._held[partition], self._buffer = held, kept

    def resume(self, ordering: Hashable) -> None:
        """Go on with a partition, behind its last message that was handed over."""
        for partition in [each for each in self._held if each == ordering]:
            self._buffer.extend(self._held.pop(partition))
            self._resumed.set()

    async def stop(self) -> None:
        """Hand over no more messages, and commit what is settled."""
        self._halt.set()
        self._forget_fetched()
        await self._commit_at_last()

    async def close(self) -> None:
        """Commit what is settled, and leave the group."""
        self._halt.set()
        await self._leave()
        if self._own_producer is not None:
            await self._own_producer.stop()

    async def _fetch(self, consumer: Any) -> None:
        try:
            self._resumed.clear()
            await self._halt.unless(self._resumed.unless(self._fill(consumer, POLL, BATCH)))
        except (self._library.errors.KafkaError, self._library.errors.ConsumerStoppedError) as error:
            await self._leave()
            raise self._lost(error) from error

    async def _fill(self, consumer: Any, timeout: float, limit: int) -> None:
        assigned = self._assigned()
        # Not aiokafka's own ``pause``, which would throw away, and fetch again, what it has of the partition.
        wanted = [each for each in assigned if _named(each) not in self._held] if self._held else []
        if self._held and not wanted and timeout:
            await asyncio.sleep(timeout)
            return
        self._asked_at = time.monotonic()
        found: dict[Any, list[Any]] = await consumer.getmany(
            *wanted, timeout_ms=round(timeout * 1000), max_records=limit
        )
        # At once: what a partition that was taken away has brought must not come into the buffer later.
        for each, records in found.items():
            self._held.get(_named(each), self._buffer).extend(records)

    def _assigned(self) -> Collection[Any]:
        return () if self._consumer is None else self._consumer.assignment()

    def _forget_fetched(self, gone: Container[Partition] | None = None) -> None:
        """Drop what was fetched and not handed over, of some partitions or all."""
        if gone is None:
            self._buffer.clear()
            self._held.clear()
            return
        kept = [each for each in self._buffer if _named(each) not in gone]
        self._buffer = collections.deque(kept)
        self._held = {each: records for each, records in self._held.items() if each not in gone}

    async def _commit_at_last(self) -> None:
        if not await self._positions.commit_now():
            await self._positions.commit_now()  # nobody will make up for it later

    def _listener(self, consumer: Any) -> Any:
        source, positions = self, self._positions

        async def revoke(partitions: set[Any]) -> None:
            if consumer is not source._consumer:  # its first assignment, or it was left
                return
            gone = {_named(each) for each in partitions}
            source._forget_fetched(gone)
            if not await positions.drained(gone, source._rebalance_timeout):
                _logger.warning("messages in work are delivered again: their partitions go to another member")
            await positions.commit_now()
            positions.drop(gone)
            source._forget_fetched(gone)  # what was paused meanwhile

        class Listener(self._library.ConsumerRebalanceListener):  # type: ignore[misc,name-defined]  # untyped
            async def on_partitions_revoked(self, revoked: set[Any]) -> None:
                await revoke(revoked)

            async def on_partitions_assigned(self, assigned: set[Any]) -> None:
                pass

        return Listener()

    async def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._forget_fetched()
        if consumer is not None:
            try:
                await self._commit_at_last()
            finally:
                await self._positions.end()
                await self._end(consumer)

    async def _end(self, consumer: Any) -> None:
        clean = False
        try:
            clean = await bounded(consumer.stop(), self._connection.timeout * 2, "the Kafka consumer")
        finally:
            if not clean:
                await abandon_consumer(consumer)

    def _lost(self, error: BaseException) -> BrokerUnavailableError:
        where = ", ".join(self._connection.servers)
        why = f"nothing comes from Kafka at {where}: {reason_of(error)}"
        return BrokerUnavailableError(",".join(self._topics), why)


def _named(it: Any) -> Partition:
    """Return the partition of a record, or one of aiokafka."""
    return it.topic, it.partition


def _received(record: Any) -> ReceivedMessage:
    headers = decode(record.headers)
    key = headers.get(KEY) or (record.key.decode(errors="replace") if record.key is not None else None)
    return ReceivedMessage(
        body=record.value or b"",
        headers=headers,
        message_name=headers.get(MESSAGE_NAME),
        topic=record.topic,
        message_id=message_id_of(headers),
        key=key,
        position=f"{record.topic}/{record.partition}@{record.offset}",
        raw=record,
        ordering=(record.topic, record.partition),
    )
