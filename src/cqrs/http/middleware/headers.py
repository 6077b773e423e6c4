"""Headers that every call has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import HTTPRequestError
from cqrs.http.flow import AsyncFlow, Flow, FlowMiddleware, Send, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout


class HTTPAddHeadersMiddleware(FlowMiddleware):
    """Adds headers to every request; those of the same name that a request has are replaced.

    Args:
        headers: values by name; a ``SecretStr`` is unwrapped when it is sent, and not before.

    Raises:
        ConfigurationError: a name or value that no header may have.
    """

    def __init__(self, headers: Mapping[str, Any]) -> None:
        self._headers = checked(headers)

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        response: HTTPResponse = yield Send(request.with_headers(self._headers), timeout)
        return response


class AsyncHTTPAddHeadersMiddleware(AsyncFlow, HTTPAddHeadersMiddleware):
    __doc__ = HTTPAddHeadersMiddleware.__doc__


class SyncHTTPAddHeadersMiddleware(SyncFlow, HTTPAddHeadersMiddleware):
    __doc__ = HTTPAddHeadersMiddleware.__doc__


def checked(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of headers that can be sent.

    Raises:
        ConfigurationError: they cannot.
    """
    try:
        HTTPRequest("GET", "", headers=headers).wire_headers  # noqa: B018  (it raises)
    except HTTPRequestError as error:
        raise ConfigurationError(error.message) from None  # whose traceback would show the value
    return dict(headers)
