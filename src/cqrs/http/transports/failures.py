"""What went wrong below HTTP, in words that say what to look at."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import cast

from cqrs.http.errors import HTTPClosedError, HTTPConnectionError, HTTPPoolTimeoutError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPTimeout


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and what groups among these hold."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += (getattr(each, "os_error", None), each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", each).exceptions


def connection_error(error: BaseException, request: HTTPRequest, what: str = "") -> HTTPConnectionError:
    """Return the error for a connection that was not made or was lost.

    Args:
        what: to say when nothing better is known.
    """
    return HTTPConnectionError(_reason(error) or what or _told(error), request)


def _reason(error: BaseException) -> str:
    causes = list(chain(error))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"the host name cannot be resolved: {_told(cause)}"
        if isinstance(cause, ssl.CertificateError):
            return f"the certificate is not accepted: {getattr(cause, 'verify_message', '') or _told(cause)}"
    for cause in causes:
        if isinstance(cause, ConnectionRefusedError):
            return f"the connection was refused: {_told(cause)}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {_told(cause)}"
    for cause in causes:
        if isinstance(cause, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
            return f"the connection was reset: {_told(cause)}"
    return ""


def incomplete(error: BaseException | str, request: HTTPRequest) -> HTTPConnectionError:
    """Return the error for an answer that is no HTTP, or not all of it."""
    if isinstance(error, str):
        return HTTPConnectionError(f"what was received is no complete answer: {error}", request)
    return connection_error(error, request, f"what was received is no complete answer: {_told(error)}")


def closed_meanwhile(error: Exception, request: HTTPRequest) -> Exception:
    """Return the error of a call whose transport was closed while it was under way."""
    if isinstance(error, HTTPConnectionError):
        return HTTPClosedError("the transport was closed while the call was under way", request)
    return error


def timeout_error(which: str, request: HTTPRequest, timeout: HTTPTimeout) -> HTTPTimeoutError:
    """Return the error for something that took too long.

    Args:
        which: ``"connect"``, ``"read"``, ``"write"``, ``"pool"`` or ``"total"``.
    """
    kind = HTTPPoolTimeoutError if which == "pool" else HTTPTimeoutError
    limit = timeout.limit
    seconds = {"connect": timeout.connect, "pool": timeout.connect, "total": limit}.get(which, timeout.read)
    return kind(f"{_SAID[which]} {min(seconds, limit):g} s", request)


_SAID = {
    "connect": "connect timeout: no connection within",
    "pool": "connect timeout: none of our own connections became free within",
    "read": "read timeout: nothing was received for",
    "write": "read timeout: nothing could be sent for",
    "total": "total timeout: no complete answer within",
}


def _told(error: BaseException) -> str:
    return str(error) or type(error).__qualname__
