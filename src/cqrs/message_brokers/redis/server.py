"""A server of streams: its client, how messages lie in it, and what its errors mean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from cqrs.circuit_breaker.redis import clients
from cqrs.circuit_breaker.redis.failures import reason
from cqrs.exceptions import (
    BrokerUnavailableError,
    ConfigurationError,
    MessageBrokerError,
    MessageRefusedError,
)
from cqrs.message_brokers.connecting import Connecting, bounded, check_seconds
from cqrs.message_brokers.errors import translated
from cqrs.message_brokers.headers import decode

__all__ = ["BODY", "HEADERS", "StreamServer", "fields_of", "read_fields"]

BODY = "body"
HEADERS = "headers"

T = TypeVar("T")


class StreamServer:
    """The client of a server, made when it is first used; every command ends in time.

    Args:
        target: a URL, a client of redis-py or valkey-py, whose address is used, or a function without
            arguments that returns an asyncio client.
        timeout: seconds for a command, with connecting.
        name: for whom, in errors.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
        ImportError: neither redis nor valkey is installed.
    """

    def __init__(self, target: object, timeout: float, name: str) -> None:
        self.timeout = check_seconds("timeout", timeout)
        self._source = clients.source(target, timeout)
        self._connecting = Connecting[Any](self._open, self._end, name)

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailableError: the server does not answer.
        """
        await self._connecting.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._connecting.close()

    async def call(self, topic: str, command: Callable[[Any], Awaitable[T]], extra: float = 0.0) -> T:
        """Return what a command answers; ``extra`` seconds may pass while the server waits itself.

        Raises:
            MessageRefusedError, BrokerUnavailableError: it failed.
        """
        with translated(topic, self.error):
            async with asyncio.timeout(self.timeout + extra):
                return await command(await self._connecting.get())

    def error(self, topic: str, error: Exception) -> MessageBrokerError:
        """Return what an error means to whoever sent a message; raise it ``from`` the error."""
        if isinstance(error, ConfigurationError):
            raise error
        if isinstance(error, MessageBrokerError):
            return error
        why = reason(error, self.timeout, self.timeout, self._source.secrets)
        names = {base.__name__ for base in type(error).__mro__}
        refused = names & {"DataError", "NoPermissionError", "TypeError", "ValueError"}
        if refused or (names & {"ResponseError"} and "WRONGTYPE" in str(error)):
            return MessageRefusedError(topic, f"{self._source.shown} refuses it: {why}")
        return BrokerUnavailableError(topic, f"{self._source.shown} does not take it: {why}")

    async def _open(self) -> Any:
        client = self._source.make()
        encoder = getattr(client, "get_encoder", None)
        if encoder is not None and encoder().decode_responses:
            await self._end(client)
            raise ConfigurationError("a client of streams has to return bytes: without decode_responses")
        if getattr(client, "cluster_error_retry_attempts", None) == 0:
            # redis-py 5 and valkey-py count the first try of a pipeline as well, and would make none.
            client.cluster_error_retry_attempts = 1
        try:
            await client.ping()
        except BaseException:
            await self._end(client)
            raise
        return client

    async def _end(self, client: Any) -> None:
        close = getattr(client, "aclose", None) or client.close  # redis-py before 5.0.1, valkey
        await bounded(close(), self.timeout, "a client of streams")
        disconnect = getattr(getattr(client, "connection_pool", None), "disconnect", None)
        if disconnect is not None:
            await bounded(disconnect(), self.timeout, "a client of streams")


def fields_of(body: bytes, headers: Mapping[str, str]) -> dict[str, bytes | str]:
    """Return the fields of a message in a stream: body, and headers as a JSON object."""
    return {BODY: body, HEADERS: json.dumps(headers, ensure_ascii=False)}


def read_fields(fields: Mapping[bytes, bytes]) -> tuple[bytes, dict[str, str]]:
    """Return body and headers; of an entry that somebody else wrote, its other fields are the headers.

    >>> read_fields({b"body": b"{}", b"headers": b'{"a": "1"}'})
    (b'{}', {'a': '1'})
    >>> read_fields({b"user": b"7"})
    (b'', {'user': '7'})
    """
    body = fields.get(BODY.encode(), b"")
    try:
        found: Any = json.loads(fields.get(HEADERS.encode(), b""))
        if isinstance(found, dict):
            return body, decode(found.items())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except (ValueError, RecursionError):
        pass
    return body, decode((name, value) for name, value in fields.items() if name != BODY.encode())
