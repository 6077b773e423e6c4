"""Connections to Kafka over aiokafka, made when they are first needed.

Needs ``pip install "holdfast[kafka]"``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, Self, get_args

from cqrs.circuit_breaker import validation
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, ConfigurationTypeError
from cqrs.message_brokers.connecting import Connecting, bounded, cancel_and_wait, check_address, check_seconds
from cqrs.message_brokers.errors import reason_of

__all__ = ["KafkaConnection", "ReconnectingProducer", "kafka_producer_factory"]

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Compression = Literal["gzip", "snappy", "lz4", "zstd"]
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER")


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where a Kafka cluster is, and as whom to connect.

    Args:
        dsn: ``host:port`` of some brokers, separated by commas; ``kafka://`` may precede them.
        user: for SASL; ``None``: no SASL.
        password: for SASL.
        security_protocol: ``None``: what ``user`` and ``ssl_context`` need.
        sasl_mechanism: with ``user``. Default ``"PLAIN"``.
        ssl_context: makes connections encrypted. ``None`` with an ``SSL`` protocol: the system's authorities.
        client_id: shown in the broker's logs. Default ``"holdfast"``.
        timeout: seconds that a request may take, more than 0. Default 10.
        options: more arguments of aiokafka's clients.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.

    >>> KafkaConnection("kafka://one:9092,two:9092").servers
    ['one:9092', 'two:9092']
    """

    dsn: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security_protocol: SecurityProtocol | None = None
    sasl_mechanism: str = "PLAIN"
    ssl_context: ssl.SSLContext | None = None
    client_id: str = "holdfast"
    timeout: float = 10.0
    options: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.dsn, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"the dsn of Kafka must be text, not {self.dsn!r}")
        if not self.servers or "@" in self.dsn or "://" in self.dsn.removeprefix("kafka://"):
            raise ConfigurationError(
                "the dsn of Kafka must be like host:9092,other:9092; user and password are arguments"
            )
        for each in self.servers:
            check_address(f"kafka://{each}", ("kafka",), "host:9092,other:9092")
        if (self.user is None) != (self.password is None):
            raise ConfigurationError("Kafka needs user and password, or neither")
        self._check_security()
        check_seconds("timeout", self.timeout)

    def _check_security(self) -> None:
        validation.choice("sasl_mechanism", self.sasl_mechanism, MECHANISMS)
        if self.ssl_context is not None and not isinstance(self.ssl_context, ssl.SSLContext):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"ssl_context must be an ssl.SSLContext, not {self.ssl_context!r}")
        if self.security_protocol is None:
            return
        validation.choice("security_protocol", self.security_protocol, get_args(SecurityProtocol))
        # What would go over the network in another way than whoever gave it believes.
        if self.ssl_context is not None and not self.security_protocol.endswith("SSL"):
            raise ConfigurationError(f"with {self.security_protocol}, an ssl_context would not be used")
        if self.user is not None and not self.security_protocol.startswith("SASL"):
            raise ConfigurationError(f"with {self.security_protocol}, user and password would not be used")

    @property
    def servers(self) -> list[str]:
        """The brokers that are asked first."""
        return [each.strip() for each in self.dsn.removeprefix("kafka://").split(",") if each.strip()]

    def client_options(self) -> dict[str, Any]:
        """Return the arguments of a producer or consumer of aiokafka."""
        encrypted = self.ssl_context is not None or str(self.security_protocol).endswith("SSL")
        protocol = ("SASL_" if self.user else "") + ("SSL" if encrypted else "PLAINTEXT")
        found: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "client_id": self.client_id,
            "request_timeout_ms": max(1, round(self.timeout * 1000)),
            "security_protocol": self.security_protocol or protocol,
        }
        if encrypted:
            found["ssl_context"] = self.ssl_context or ssl.create_default_context()
        if self.user is not None:
            found |= {"sasl_mechanism": self.sasl_mechanism, "sasl_plain_username": self.user}
            found["sasl_plain_password"] = self.password
        return found | self.options


class ReconnectingProducer:
    """A ``KafkaProducer`` that connects when it is first used, and is replaced when it is of no more use.

    Args:
        connection: where to.
        topics: asked for when it connects, so that the first message to them waits for nothing.
        options: arguments of ``aiokafka.AIOKafkaProducer``.

    Raises:
        ImportError: aiokafka is not installed.
    """

    def __init__(self, connection: KafkaConnection, topics: Sequence[str], options: dict[str, Any]) -> None:
        self._library = aiokafka()
        self.connection = connection
        self._topics = list(topics)
        self._options = options
        self._connecting = Connecting[Any](self._open, self._end, "the Kafka producer")

    async def start(self) -> None:
        """Connect; otherwise the first ``send`` does.

        Raises:
            BrokerUnavailableError: no broker can be reached, or it lets nobody in.
        """
        await self._connecting.start()

    async def stop(self) -> None:
        """Send what is queued, for twice ``timeout`` at most, and disconnect."""
        await self._connecting.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> Awaitable[Any]:
        """Queue a record; return what can be awaited until the broker has taken it over.

        Raises:
            BrokerUnavailableError: no broker can be reached.
            aiokafka.errors.KafkaError: it cannot be queued.
        """
        producer = self._connecting.current or await self._connecting.get()
        queued: Awaitable[Any] = await producer.send(topic, value, key, partition, timestamp_ms, headers)
        return queued

    async def replace(self) -> None:
        """Give up on the present producer, with all that it has queued; the next ``send`` makes another."""
        producer = self._connecting.current
        if producer is not None:
            await self._connecting.drop(producer)

    async def _open(self) -> Any:
        producer = self._library.AIOKafkaProducer(**self._options, **self.connection.client_options())
        try:
            # Bounded by the time-out of its requests: one per address, and one for its version.
            async with asyncio.timeout(self.connection.timeout * 2 * len(self.connection.servers)):
                await producer.start()
                await asyncio.gather(*map(producer.partitions_for, self._topics))
        except BaseException as error:
            await self._end(producer)
            if isinstance(error, (self._library.errors.KafkaError, OSError)):  # TimeoutError is an OSError
                where = ", ".join(self.connection.servers)
                why = f"no connection to Kafka at {where}: {reason_of(error)}"
                raise BrokerUnavailableError("", why) from error
            raise
        return producer

    async def _end(self, producer: Any) -> None:
        clean = False
        try:
            # An idempotent producer would try until a broker comes back.
            clean = await bounded(producer.stop(), self.connection.timeout * 2, "the Kafka producer")
        finally:
            if not clean:
                _fail_queued(producer._message_accumulator, self._library.errors.ProducerClosed())
                await _abandon([producer._sender.sender_task], producer.client)


async def abandon_consumer(consumer: Any) -> None:
    """End a consumer whose ``stop`` did not: its tasks, and its connections."""
    tasks: list[Any] = []
    if (fetcher := consumer._fetcher) is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
    if (coordinator := consumer._coordinator) is not None:
        names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
        tasks += [getattr(coordinator, name, None) for name in names]
    await _abandon(tasks, consumer._client)


def _fail_queued(accumulator: Any, error: Exception) -> None:
    """Let those who wait for what was never sent know, and the ``stop`` that waits for it as well."""
    queued = [batch for batches in accumulator._batches.values() for batch in batches]
    for batch in [*queued, *accumulator._pending_batches]:
        batch.failure(error)
        for future in (batch.future, batch._drain_waiter):
            if future.done() and not future.cancelled():
                future.exception()  # told to those who wait, and otherwise of no interest


async def _abandon(tasks: Sequence[asyncio.Task[Any] | None], client: Any) -> None:
    await cancel_and_wait(*(task for task in tasks if task is not None))
    await client.close()


def kafka_producer_factory(
    dsn: str | KafkaConnection,
    topics: Sequence[str] = (),
    *,
    user: str | None = None,
    password: str | None = None,
    security_protocol: SecurityProtocol | None = None,
    sasl_mechanism: str = "PLAIN",
    ssl_context: ssl.SSLContext | None = None,
    client_id: str = "holdfast",
    timeout: float = 10.0,
    idempotent: bool = False,
    compression: Compression | None = None,
    max_batch_size: int = 131_072,
    max_request_size: int = 1_048_576,
    linger: float = 0.0,
) -> ReconnectingProducer:
    """Return a producer that waits for all replicas in step (``acks="all"``); it connects when first used.

    Args:
        dsn: ``host:port`` of some brokers, separated by commas, or a ``KafkaConnection`` with all of the
            next seven arguments.
        topics: asked for when it connects.
        user, password, security_protocol, sasl_mechanism, ssl_context, client_id, timeout: as
            ``KafkaConnection``. A record is given up after ``timeout``, or twice that during a request.
        idempotent: the broker drops what is sent twice because an answer was lost. Such a producer never
            gives up by itself: what was reported as failed may still be published. Default ``False``.
        compression: of batches. Default ``None``.
        max_batch_size: bytes that are collected for one partition. Default 128 KiB.
        max_request_size: bytes of the largest record. Default 1 MiB, as that of brokers.
        linger: seconds that a record waits for others, at least 0. Default 0.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: aiokafka is not installed.
    """
    if isinstance(dsn, str):
        dsn = KafkaConnection(
            dsn, user, password, security_protocol, sasl_mechanism, ssl_context, client_id, timeout
        )
    elif not isinstance(dsn, KafkaConnection):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"the dsn of Kafka must be text or a KafkaConnection, not {dsn!r}")
    if isinstance(topics, str):
        raise ConfigurationTypeError(f"topics must be a list of names, not the text {topics!r}")
    for name, value in (("max_batch_size", max_batch_size), ("max_request_size", max_request_size)):
        validation.count(name, value)
    if compression is not None:
        validation.choice("compression", compression, get_args(Compression))
    options: dict[str, Any] = {
        "acks": "all",
        "enable_idempotence": idempotent,
        "compression_type": compression,
        "max_batch_size": max_batch_size,
        "max_request_size": max_request_size,
        "linger_ms": round(check_seconds("linger", linger, zero=True) * 1000),
    }
    return ReconnectingProducer(dsn, topics, options)


def aiokafka() -> Any:
    """Import aiokafka, with its ``errors``.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import_module("aiokafka.errors")
        return import_module("aiokafka")
    except ImportError:
        raise ImportError('Kafka needs aiokafka: pip install "holdfast[kafka]"') from None
