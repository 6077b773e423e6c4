"""A connection to NATS, made when it is first needed, and made anew when it is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from cqrs.exceptions import (
    BrokerUnavailableError,
    ConfigurationTypeError,
    MessageBrokerError,
    MessageRefusedError,
)
from cqrs.message_brokers.connecting import (
    Connecting,
    Halt,
    bounded,
    check_address,
    check_seconds,
    not_cancelled,
)
from cqrs.message_brokers.errors import MessageTooLargeError, reason_of, translated
from cqrs.message_brokers.headers import JSON_HEADERS, NATS_MESSAGE_ID, decode

__all__ = ["JetStream", "Line", "NatsConnection", "nats_error", "read_headers", "written_headers"]

# A leader that is being elected has nobody listen to a stream's subjects, as if there were no stream.
ELECTION_TRIES = 4
ELECTION_PAUSE = 0.25

TOO_LARGE = 10054  # error of the server: message size exceeds maximum allowed
FULL = 10077  # error of the server: maximum messages, or bytes, exceeded

# Of headers that travel as lines of text (NATS, ADR-4).
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NatsConnection:
    """Where NATS is, and as whom to connect.

    Args:
        servers: URLs such as ``nats://host:4222``, separated by commas; ``tls://`` encrypts.
        timeout: seconds that connecting, or an answer, may take, more than 0. Default 5.
        name: shown in the server's monitoring. Default ``"holdfast"``.
        options: more arguments of nats-py's ``Client.connect``, such as ``user``, ``password``, ``tls``.

    Raises:
        ConfigurationError, ConfigurationTypeError: an argument is not of these.
    """

    servers: str = field(repr=False)
    timeout: float = 5.0
    name: str = "holdfast"
    options: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.servers, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError("the servers of NATS must be text")
        for each in self.urls:
            check_address(each, ("nats", "tls", "ws", "wss"), "nats://host:4222,nats://other:4222")
        check_seconds("timeout", self.timeout)

    @property
    def urls(self) -> list[str]:
        """The servers, one by one."""
        return [each.strip() for each in self.servers.split(",")]

    @property
    def shown(self) -> str:
        """The servers for people, without passwords."""
        return ", ".join(urlsplit(each).netloc.rpartition("@")[2] for each in self.urls)


class Line:
    """A client of nats-py, and the news that its connection is lost, which its requests do not hear."""

    def __init__(self) -> None:
        self.client: Any = library().NATS()
        self._lost = Halt()

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said over it any more."""
        return bool(self._lost.wanted or self.client.is_closed)

    async def lose(self) -> None:
        """Let all who wait for an answer know."""
        self._lost.set()

    async def answer(self, request: Coroutine[Any, Any, Any]) -> Any:
        """Return what a request brings.

        Raises:
            ConnectionAbortedError: the connection is lost.
        """
        async with not_cancelled():
            answer = await self._lost.unless(request)
        if answer is None:
            raise ConnectionAbortedError("the connection is lost")
        return answer


class JetStream:
    """A connection that is shared, with its JetStream context.

    Raises:
        ImportError: nats-py is not installed.
    """

    def __init__(self, connection: str | NatsConnection, name: str) -> None:
        library()
        self.settings = connection if isinstance(connection, NatsConnection) else NatsConnection(connection)
        self._connecting = Connecting[Line](self._open, self._end, name)

    @property
    def timeout(self) -> float:
        """Seconds that an answer may take."""
        return self.settings.timeout

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailableError: no server can be reached.
        """
        await self._connecting.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._connecting.close()

    async def line(self) -> Line:
        """Return a connection that is not lost.

        Raises:
            BrokerUnavailableError: no server can be reached, or this was closed.
        """
        line = await self._connecting.get()
        if line.is_lost:
            await self._connecting.drop(line)
            line = await self._connecting.get()
        return line

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str], message_id: str) -> None:
        """Publish; return when a stream has the message.

        Raises:
            MessageRefusedError, BrokerUnavailableError: no stream has it.
        """
        lines = written_headers(headers) | {NATS_MESSAGE_ID: message_id}
        with translated(subject, nats_error):
            try:
                async with asyncio.timeout(self.timeout):
                    await self._publish(subject, body, lines)
            except TimeoutError as error:
                # Who knows what such a connection is still good for; others that wait on it wait in vain.
                if (line := self._connecting.current) is not None:
                    await self._connecting.drop(line)
                late = f"no answer of NATS within {self.timeout:g} s; it may have been published"
                raise BrokerUnavailableError(subject, late) from error

    async def _publish(self, subject: str, body: bytes, lines: dict[str, str]) -> None:
        nobody = import_module("nats.js.errors").NoStreamResponseError
        line = await self.line()
        size, most = len(body) + _size_of(lines), line.client.max_payload
        if size > most:
            # nats-py does not count the headers, and the server would close the connection on everybody.
            raise MessageTooLargeError(subject, f"body and headers have {size} bytes, of {most}")
        context = line.client.jetstream()
        for attempt in range(1, ELECTION_TRIES + 1):
            try:
                sending = context.publish(subject, body, timeout=self.timeout, headers=dict(lines))
                await line.answer(sending)
                return
            except nobody as error:
                if attempt == ELECTION_TRIES:
                    found = await _stream_of(context, subject)
                    if found is None:
                        raise MessageRefusedError(subject, "no stream takes this subject") from error
                    raise BrokerUnavailableError(subject, f"nobody answers for stream {found}") from error
                await asyncio.sleep(ELECTION_PAUSE)

    async def _open(self) -> Line:
        line = Line()
        try:
            async with asyncio.timeout(self.timeout), not_cancelled():
                await line.client.connect(
                    **{
                        "servers": self.settings.urls,
                        "name": self.settings.name,
                        "connect_timeout": self.timeout,
                        # A lost connection is told, not waited for: the next use makes another.
                        "allow_reconnect": False,
                        "max_reconnect_attempts": 1,  # of the first connection, to each server
                        "reconnect_time_wait": 0.05,
                        "closed_cb": line.lose,
                        "disconnected_cb": line.lose,
                        "ping_interval": self.timeout,
                        "error_cb": _told,
                        **self.settings.options,
                    }
                )
        except BaseException as error:
            last = line.client.last_error
            await self._end(line)
            if isinstance(error, Exception):
                why = reason_of(last or error)
                raise BrokerUnavailableError(
                    "", f"no connection to NATS at {self.settings.shown}: {why}"
                ) from error
            raise
        return line

    async def _end(self, line: Line) -> None:
        await bounded(line.client.close(), self.timeout, "a connection to NATS")


def _size_of(lines: Mapping[str, str]) -> int:
    return len("NATS/1.0\r\n\r\n") + sum(len(f"{name}: {value}\r\n") for name, value in lines.items())


async def _stream_of(context: Any, subject: str) -> str | None:
    try:
        return str(await context.find_stream_name_by_subject(subject))
    except import_module("nats.js.errors").NotFoundError:
        return None


async def _told(error: Exception) -> None:
    _logger.debug("NATS: %r", error)  # whoever waits for an answer is told, too


def nats_error(topic: str, error: Exception) -> MessageBrokerError:
    """Return what an error of nats-py means to whoever sent a message; raise it ``from`` the error."""
    if isinstance(error, MessageBrokerError):
        return error
    errors, js_errors = import_module("nats.errors"), import_module("nats.js.errors")
    why = reason_of(error)
    refused = (errors.BadSubjectError, TypeError, ValueError)
    bad_header = getattr(errors, "BadHeaderError", errors.BadSubjectError)
    code = getattr(error, "err_code", None)
    is_answer = isinstance(error, js_errors.APIError) and getattr(error, "code", None) in (400, 403, 404)
    if isinstance(error, errors.MaxPayloadError) or code == TOO_LARGE:
        return MessageTooLargeError(topic, f"NATS refuses the message: {why}")
    if isinstance(error, (*refused, bad_header)) or (is_answer and code != FULL):
        return MessageRefusedError(topic, f"NATS refuses the message: {why}")
    return BrokerUnavailableError(topic, f"NATS does not take the message: {why}")


def written_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as lines of text; those that are none travel together, as JSON.

    >>> written_headers({"a": "1", "b": "ö"})
    {'a': '1', 'headers_json': '{"b": "\\\\u00f6"}'}
    """
    lines: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in headers.items():
        plain = name != JSON_HEADERS and _NAME.fullmatch(name) and _VALUE.fullmatch(value)
        (lines if plain else others)[name] = value
    return lines | {JSON_HEADERS: json.dumps(others)} if others else lines


def read_headers(lines: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers that ``written_headers`` was given, or that somebody else wrote."""
    found = decode((lines or {}).items())
    found.pop(NATS_MESSAGE_ID, None)
    try:
        others: Any = json.loads(found.get(JSON_HEADERS, ""))
    except (ValueError, RecursionError):
        return found
    if isinstance(others, dict):
        del found[JSON_HEADERS]
        found |= decode(others.items())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return found


def library() -> Any:
    """Import nats-py.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module("nats")
    except ImportError:
        raise ImportError('NATS needs nats-py: pip install "holdfast[nats]"') from None
