"""What a service client can raise, or return as the error of a result.

::

    CqrsError
    ├── HTTPClientError             base of everything below that concerns one call; has ``request``
    │   ├── HTTPError               the server answered with an error status: the ``Err`` of a result
    │   ├── HTTPRequestError        the request cannot be sent as it is (also a ValueError)
    │   ├── OAuth2TokenError        there is no access token for the call (in ``cqrs.http.oauth2``)
    │   ├── HTTPResponseError       the answer cannot be used: no JSON, of the wrong shape, cut off, too large
    │   └── HTTPUnavailableError    there was no answer
    │       ├── HTTPTimeoutError    not in time (also a TimeoutError)
    │       │   ├── HTTPPoolTimeoutError  all connections of this program were in use; nothing was sent
    │       │   └── HTTPDeadlineError     the deadline had passed already; nothing was sent
    │       ├── HTTPConnectionError no connection, or it was lost (also a ConnectionError)
    │       │   └── HTTPClosedError       the transport was closed while the call was under way
    │       └── DiscoveryError      nobody could say where the service is
    ├── CircuitOpenError            a circuit breaker did not let the call through
    └── ConfigurationError
        └── ContractError           the call is not what was registered (also a LookupError)
            ├── UnregisteredClientError
            ├── UnregisteredResourceError
            ├── UnregisteredVerbError
            └── WrongRequestModelError
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from cqrs.exceptions import ConfigurationError, CqrsError
from cqrs.http.messages import HTTPRequest, HTTPResponse


class HTTPClientError(CqrsError):
    """Something about one call.

    Attributes:
        message: what happened, without secrets.
        request: the request, ``None`` where there was none yet.
    """

    def __init__(self, message: str, request: HTTPRequest | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request = request

    def __str__(self) -> str:
        return self.message if self.request is None else f"{self.request}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.request)


class HTTPError(HTTPClientError):
    """The server answered with an error status; also with a redirection that was not followed.

    Args:
        message: what happened.
        request: the request.
        response: the answer.
    """

    request: HTTPRequest

    def __init__(self, message: str, request: HTTPRequest, response: HTTPResponse) -> None:
        super().__init__(message, request)
        self.response = response

    @classmethod
    def of(cls, request: HTTPRequest, response: HTTPResponse) -> HTTPError:
        """Return the error that ``response`` is."""
        return cls(f"{response.status_code} {response.reason}".rstrip(), request, response)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.request, self.response)

    @property
    def status_code(self) -> int:
        """Status of the answer."""
        return self.response.status_code

    @property
    def json(self) -> Any:
        """Body of the answer: parsed when it is JSON, else ``None``."""
        try:
            return self.response.json
        except ValueError:
            return None

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return self.response.headers

    @property
    def is_client_error(self) -> bool:
        """Whether the status is 4xx."""
        return 400 <= self.response.status_code < 500

    @property
    def is_server_error(self) -> bool:
        """Whether the status is 5xx."""
        return 500 <= self.response.status_code < 600


class HTTPRequestError(HTTPClientError, ValueError):
    """The request cannot be sent as it is: a path value that leaves its segment, a header with a newline."""


class HTTPResponseError(HTTPClientError):
    """The answer has a good status but cannot be used.

    Args:
        message: what is wrong with it.
        request: the request.
        response: the answer, ``None`` when it did not arrive as a whole.
    """

    def __init__(
        self, message: str, request: HTTPRequest | None = None, response: HTTPResponse | None = None
    ) -> None:
        super().__init__(message, request)
        self.response = response

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.request, self.response)


class HTTPUnavailableError(HTTPClientError):
    """There was no answer."""


class HTTPTimeoutError(HTTPUnavailableError, builtins.TimeoutError):
    """There was no answer in time: connecting, reading, or the call as a whole took too long."""


class HTTPPoolTimeoutError(HTTPTimeoutError):
    """All connections that this program allows itself were in use for too long; nothing was sent."""


class HTTPDeadlineError(HTTPTimeoutError):
    """The deadline of the work in hand had passed already; nothing was sent."""


class HTTPConnectionError(HTTPUnavailableError, builtins.ConnectionError):
    """There was no connection, or it was lost before the answer was complete."""


class HTTPClosedError(HTTPConnectionError):
    """The transport was closed, by this program, while the call was under way; says nothing of the server."""


class DiscoveryError(HTTPUnavailableError, builtins.ConnectionError):
    """Nobody could say where the service is.

    Args:
        message: what happened.
        service: name of the service.
        version: its version, ``None`` for an unversioned one.
    """

    def __init__(self, message: str, service: str = "", version: str | None = None) -> None:
        super().__init__(message)
        self.service = service
        self.version = version

    def __str__(self) -> str:
        name = self.service if self.version is None else f"{self.service} {self.version}"
        return f"service {name}: {self.message}" if name else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.service, self.version)


class ContractError(ConfigurationError, LookupError):
    """The call is not what was registered; no retry and no fallback can help."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UnregisteredClientError(ContractError):
    """Nothing is registered under this client name."""


class UnregisteredResourceError(ContractError, AttributeError):
    """The client has no such resource; also an ``AttributeError``: it was asked for as one."""


class UnregisteredVerbError(ContractError):
    """The resource has no contract for this verb."""


class WrongRequestModelError(ContractError, TypeError):
    """The parameters are not of the model that the contract names."""
