"""A request and a response, as middleware and transports see them."""

from __future__ import annotations

import json as json_module
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeAlias

from cqrs.exceptions import PolicyError
from cqrs.http import wire

_LONGEST = threading.TIMEOUT_MAX / 4
"""What is longer cannot be waited for by a thread, nor the sum of two of them; many years."""


@dataclass(frozen=True, slots=True)
class HTTPTimeout:
    """How long a call may take. Seconds, whole or not, or ``timedelta``; all > 0, and bounded by many years.

    Args:
        read: between two pieces of the answer.
        connect: to get a connection.
        total: for the call as a whole, from its first byte to its last; ``None``: ``read + connect``.

    Raises:
        PolicyError: not a number of seconds > 0.

    >>> HTTPTimeout(5).total
    20.0
    """

    read: float = 30.0
    connect: float = 15.0
    total: float | None = None

    def __post_init__(self) -> None:
        for name in ("read", "connect"):
            object.__setattr__(self, name, _seconds(name, getattr(self, name)))
        total = self.read + self.connect if self.total is None else _seconds("total", self.total)
        object.__setattr__(self, "total", total)

    @property
    def limit(self) -> float:
        """Seconds for the call as a whole."""
        return self.read + self.connect if self.total is None else self.total

    def within(self, seconds: float) -> HTTPTimeout:
        """Return a timeout of which no part is longer than ``seconds``."""
        if seconds >= self.limit:
            return self
        return HTTPTimeout(min(self.read, seconds), min(self.connect, seconds), seconds)

    @classmethod
    def of(cls, given: HTTPTimeout | float | timedelta | tuple[float, float]) -> HTTPTimeout:
        """Return a timeout: ``given``, or made of seconds to read, or of ``(read, connect)``."""
        if isinstance(given, HTTPTimeout):
            return given
        if not isinstance(given, tuple):
            return cls(_seconds("timeout", given))
        if not 1 <= len(given) <= 3:
            raise PolicyError("timeout", given, "(read, connect), or seconds to read, or an HTTPTimeout")
        return cls(*given)


def _seconds(name: str, value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max:
        return min(float(value), _LONGEST)
    raise PolicyError(name, value, "a number of seconds > 0, or a timedelta")


TimeoutLike: TypeAlias = HTTPTimeout | float | timedelta | tuple[float, float]
"""A timeout, seconds to read, or ``(read, connect)``."""


@dataclass(slots=True, repr=False)
class HTTPRequest:
    """What is to be sent. Middleware that changes it makes a copy: ``request.replace(...)``.

    Secrets stay wrapped (``SecretStr``) in ``path``, ``querystring`` and ``headers`` until they are sent, and
    ``str()`` of a request shows the method and the template only, and no name and password of its URL.

    Attributes:
        method: ``"GET"`` and so on, in upper case.
        url_pattern: base URL of the service and path template: ``"http://user:8000/v1/users/{name}"``.
        path: values of the template.
        querystring: values by key; a list repeats its key.
        headers: values by name, in whatever case.
        body: what is sent, encoded; ``b""``: nothing.
        attachments: files by name, for a multipart form.
    """

    method: str
    url_pattern: str
    path: Mapping[str, Any] = field(default_factory=dict[str, Any])
    querystring: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: bytes | str = b""
    attachments: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def url(self) -> str:
        """The URL as it is sent, secrets included.

        Raises:
            HTTPRequestError: a value is missing, or would leave its segment.
        """
        url = self.url_pattern
        if self.path or "{" in url:
            url = wire.fill(url, self.path, self)
        if self.querystring and (query := wire.query(self.querystring, self)):
            url += ("&" if "?" in url else "?") + query
        return url

    @property
    def wire_headers(self) -> dict[str, str]:
        """The headers as they are sent, secrets included.

        Raises:
            HTTPRequestError: a name or value cannot be sent.
        """
        return wire.headers(self.headers, self)

    def check(self) -> None:
        """See whether it can be sent.

        Raises:
            HTTPRequestError: a value of the path or a header cannot.
        """
        if self.path or "{" in self.url_pattern:
            wire.fill(self.url_pattern, self.path, self)
        if self.headers:
            wire.headers(self.headers, self)

    def header(self, name: str) -> Any:
        """Return the value of a header, whatever its case, or ``None``."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)

    def with_headers(self, extra: Mapping[str, Any]) -> HTTPRequest:
        """Return a copy with these headers; those of the same name are replaced."""
        names = {name.lower() for name in extra}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in names}
        return self.replace(headers={**kept, **extra})

    def replace(self, **fields: Any) -> HTTPRequest:
        """Return a copy with some attributes changed."""
        made = HTTPRequest(
            self.method,
            self.url_pattern,
            self.path,
            self.querystring,
            self.headers,
            self.body,
            self.attachments,
        )
        for name, value in fields.items():
            setattr(made, name, value)
        return made

    def __str__(self) -> str:
        return f"{self.method} {wire.shown(self.url_pattern)}"

    def __repr__(self) -> str:
        return f"HTTPRequest({self.method!r}, {wire.shown(self.url_pattern)!r}, {self.path!r})"


class Headers(Mapping[str, str]):
    """Headers of a response by name, in whatever case; a repeated one is joined with ``", "``.

    >>> Headers({"Content-Type": "text/plain"})["content-type"]
    'text/plain'
    """

    __slots__ = ("_given", "_lower")

    def __init__(self, given: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> None:
        self._given = given
        self._lower: dict[str, str] | None = None

    def _map(self) -> dict[str, str]:
        known = self._lower
        if known is None:
            known = {}
            given = self._given
            for name, value in given.items() if isinstance(given, Mapping) else given:
                key = name.lower()
                known[key] = f"{known[key]}, {value}" if key in known else value
            self._lower = known
        return known

    def __getitem__(self, name: str) -> str:
        return self._map()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map())

    def __len__(self) -> int:
        return len(self._map())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._map()

    def __repr__(self) -> str:
        return f"Headers({self._map()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Headers, (dict(self._map()),)


_UNREAD: Any = object()


class HTTPResponse:
    """An answer, read to its end.

    Args:
        status_code: 100 to 599.
        headers: by name.
        json: body as JSON values; left out: parsed from ``content`` when asked for.
        content: body as bytes.
    """

    __slots__ = ("_headers", "_json", "content", "status_code")

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        json: Any = _UNREAD,
        content: bytes = b"",
    ) -> None:
        self.status_code = status_code
        self._headers: Any = headers
        self._json = json
        self.content = content

    @property
    def headers(self) -> Headers:
        """Headers by name, in whatever case."""
        known = self._headers
        if type(known) is not Headers:
            known = self._headers = Headers(known or {})
        return known

    @property
    def json(self) -> Any:
        """Body as JSON values; ``None`` when there is no body.

        Raises:
            ValueError: it is not JSON.
        """
        if self._json is _UNREAD:
            try:
                self._json = json_module.loads(self.content) if self.content.strip() else None
            except RecursionError:
                raise ValueError("no JSON that can be read: it is nested too deeply") from None
        return self._json

    @property
    def json_bytes(self) -> bytes:
        """Body as JSON text, for parsers that take that."""
        return self.content if self._json is _UNREAD else json_module.dumps(self._json).encode()

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """Links of the ``Link`` header by relation (RFC 8288), say ``{"next": {"url": "..."}}``."""
        return wire.links(self.headers.get("link", ""))

    @property
    def reason(self) -> str:
        """Standard phrase of the status, ``""`` for one without."""
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status_code < 300

    def __repr__(self) -> str:
        return f"HTTPResponse({self.status_code}, {len(self.content)} bytes)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HTTPResponse):
            return NotImplemented
        same = self.status_code == other.status_code and dict(self.headers) == dict(other.headers)
        return same and self.json_bytes == other.json_bytes

    __hash__ = None  # type: ignore[assignment]  # it holds mutable values

    def __reduce__(self) -> tuple[Any, ...]:
        headers = dict(self.headers)
        if self._json is _UNREAD:
            return _response, (self.status_code, headers, self.content)
        return HTTPResponse, (self.status_code, headers, self._json, self.content)


def _response(status: int, headers: dict[str, str], content: bytes) -> HTTPResponse:
    return HTTPResponse(status, headers, content=content)
