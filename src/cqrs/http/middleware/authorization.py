"""Who calls: the ``Authorization`` header."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from pydantic import SecretStr

from cqrs.exceptions import ConfigurationError
from cqrs.http.flow import AsyncFlow, Flow, FlowMiddleware, Send, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.middleware.headers import checked
from cqrs.http.wire import reveal

Secret: TypeAlias = str | SecretStr
"""Something that must not be seen."""

SecretSource: TypeAlias = Secret | Callable[[], Secret] | Callable[[], Awaitable[Secret]]
"""It, or a function that returns it for each call; for asynchronous clients also an ``async`` one."""


class Ask:
    """Ask a function for a secret."""

    __slots__ = ("_source",)

    def __init__(self, source: Callable[[], Any]) -> None:
        self._source = source

    def wait(self) -> Any:
        said = self._source()
        if inspect.isawaitable(said):
            if inspect.iscoroutine(said):
                said.close()
            raise ConfigurationError(
                f"{self._source!r} is asynchronous: a synchronous client cannot await a secret"
            )
        return said

    async def wait_async(self) -> Any:
        said = self._source()
        return await said if inspect.isawaitable(said) else said


class HTTPAuthorizationMiddleware(FlowMiddleware):
    """Puts ``Authorization: <scheme> <value>`` on every request, in place of one that it may have.

    Args:
        scheme: ``"Bearer"``, ``"Basic"``, ``"Token"`` and so on.
        value: the rest, or a function that returns it, asked for every call. It is kept as ``SecretStr``.

    Raises:
        ConfigurationError: no header can have this scheme or value.
    """

    def __init__(self, scheme: str, value: SecretSource) -> None:
        self._scheme = scheme
        checked({scheme: ""})  # a scheme is a token, as the name of a header is (RFC 9110, 11.1)
        self._source = value if callable(value) else None
        self._header = SecretStr("")
        if not callable(value):
            self._header = self._made(value)
            checked({"Authorization": self._header})

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        header, source = self._header, self._source
        if source is not None:
            header = self._made((yield Ask(source)))
        response: HTTPResponse = yield Send(request.with_headers({"Authorization": header}), timeout)
        return response

    def _made(self, value: Any) -> SecretStr:
        return SecretStr(f"{self._scheme} {reveal(value)}")


class HTTPBearerMiddleware(HTTPAuthorizationMiddleware):
    """Puts ``Authorization: Bearer <token>`` on every request (RFC 6750).

    Args:
        token: the token, or a function that returns it, asked for every call.

    Raises:
        ConfigurationError: no header can have this token.
    """

    def __init__(self, token: SecretSource) -> None:
        super().__init__("Bearer", token)


class HTTPBasicMiddleware(HTTPAuthorizationMiddleware):
    """Puts name and password on every request (RFC 7617), encoded as UTF-8.

    Args:
        username: without a colon.
        password: whatever it is.

    Raises:
        ConfigurationError: the name has a colon, or one of both has a control character.
    """

    def __init__(self, username: str, password: Secret) -> None:
        super().__init__("Basic", SecretStr(basic(username, password)))


class AsyncHTTPAuthorizationMiddleware(AsyncFlow, HTTPAuthorizationMiddleware):
    __doc__ = HTTPAuthorizationMiddleware.__doc__


class SyncHTTPAuthorizationMiddleware(SyncFlow, HTTPAuthorizationMiddleware):
    __doc__ = HTTPAuthorizationMiddleware.__doc__


class AsyncHTTPBearerMiddleware(AsyncFlow, HTTPBearerMiddleware):
    __doc__ = HTTPBearerMiddleware.__doc__


class SyncHTTPBearerMiddleware(SyncFlow, HTTPBearerMiddleware):
    __doc__ = HTTPBearerMiddleware.__doc__


class AsyncHTTPBasicMiddleware(AsyncFlow, HTTPBasicMiddleware):
    __doc__ = HTTPBasicMiddleware.__doc__


class SyncHTTPBasicMiddleware(SyncFlow, HTTPBasicMiddleware):
    __doc__ = HTTPBasicMiddleware.__doc__


def basic(username: str, password: Secret) -> str:
    """Return name and password as the Basic scheme has them.

    Raises:
        ConfigurationError: the name has a colon, or one of both has a control character.
    """
    text = f"{username}:{reveal(password)}"
    if ":" in username:
        raise ConfigurationError("a user name with a colon cannot be sent by the Basic scheme")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ConfigurationError("a user name or password with control characters cannot be sent")
    return base64.b64encode(text.encode()).decode()
