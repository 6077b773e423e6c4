"""How values look on the wire: URLs, query strings, headers, links. Pure; refuses what would be misread."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

from pydantic import BaseModel

if TYPE_CHECKING:
    from cqrs.http.messages import HTTPRequest

_PLACE = re.compile(r"\{([^{}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*", re.ASCII)
_QUERY = re.compile(r"[?#]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
# Visible characters, spaces and tabs, and the upper half of Latin-1: what RFC 9110 (5.5) lets a value have.
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


_PARTED = (Mapping, list, tuple, set, frozenset, BaseModel)


def reveal(value: Any) -> Any:
    """Return what is in a ``SecretStr`` or the like; anything else as it is."""
    method: Callable[[], Any] | None = getattr(value, "get_secret_value", None)
    return value if method is None else method()


def text(value: Any) -> str:
    """Return the text of one value: ``true`` and ``false``, ISO 8601 for moments, the value of an ``Enum``.

    Raises:
        NoTextError: it is a dict, a list or a model.

    >>> text(True), text(1.5), text("a")
    ('true', '1.5', 'a')
    """
    if type(value) is str:
        return value
    value = reveal(value)
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8")
    kind: type = value.__class__
    if issubclass(kind, _PARTED):
        raise NoTextError(f"there is no text for a {kind.__qualname__}")
    return str(value)


class NoTextError(ValueError):
    """A value has parts, and nobody says how they look in one text."""


_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")


def shown(url: str) -> str:
    """Return a URL without the name and password that it may have.

    >>> shown("http://me:secret@user:8000/v1"), shown("http://user/@/v1")
    ('http://***@user:8000/v1', 'http://user/@/v1')
    """
    return _USER.sub(r"\1***@", url) if "@" in url else url


def values(value: Any) -> Iterable[Any]:
    """Return the values to send for one key: the items of a list, tuple or set, or the value alone."""
    return cast("Iterable[Any]", value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)


@lru_cache(maxsize=1024)
def template(url: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the literal parts of a URL template and the names between them."""
    pieces = _PLACE.split(url)
    return tuple(pieces[::2]), tuple(pieces[1::2])


def fill(url: str, path: Mapping[str, Any], request: HTTPRequest) -> str:
    """Return a URL template with its values, each of which stays in its segment.

    Raises:
        HTTPRequestError: a value is missing, empty, or a dot segment.
    """
    literals, names = template(url)
    done = literals[0]
    dots = False
    for index, name in enumerate(names):
        if name not in path:
            raise _refused(f"the path value {name!r} is missing", request)
        try:
            value = text(path[name])
        except NoTextError as error:
            raise _refused(f"the path value {name!r} cannot be sent: {error}", request) from None
        if not _PLAIN.fullmatch(value):
            dots = dots or value in ("", ".", "..")
            try:
                value = quote(value, safe="")
            except UnicodeError:
                message = f"the path value {name!r} cannot be sent: there is no UTF-8 for it"
                raise _refused(message, request) from None
        done += value + literals[index + 1]
    if dots:
        _stay(url, done, request)
    return done


def _stay(url: str, done: str, request: HTTPRequest) -> None:
    """Refuse a segment that its values, with what is beside them, make empty or a dot segment."""
    names = iter(template(url)[1])
    path = _QUERY.split(_PLACE.sub("{}", url), maxsplit=1)[0]
    # A value adds no slash, so that the segments of both correspond.
    for pattern, segment in zip(path.split("/"), _QUERY.split(done, maxsplit=1)[0].split("/"), strict=True):
        here = [repr(next(names)) for _ in range(pattern.count("{}"))]
        if here and segment in ("", ".", ".."):
            # Also percent-encoded dots are dot segments to servers and proxies (RFC 3986, 6.2.2.3).
            raise _refused(
                f"the path value {' and '.join(here)} is {segment!r} in the URL,"
                " which would leave its segment",
                request,
            )


def query(given: Mapping[str, Any], request: HTTPRequest) -> str:
    """Return a query string, without the question mark; a list repeats its key.

    Raises:
        HTTPRequestError: a value is no text.
    """
    try:
        return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs(given))
    except UnicodeError:
        raise _refused("the query string cannot be sent: there is no UTF-8 for it", request) from None
    except NoTextError as error:
        raise _refused(f"the query string cannot be sent: {error}", request) from None


def pairs(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values as texts; the items of a list one by one.

    >>> pairs({"name": "a b", "tag": ["x", 1]})
    [('name', 'a b'), ('tag', 'x'), ('tag', '1')]
    """
    return [(name, text(value)) for name, all_ in given.items() for value in values(all_)]


def headers(given: Mapping[str, Any], request: HTTPRequest) -> dict[str, str]:
    """Return headers as they are sent.

    Raises:
        HTTPRequestError: a name is no token, or a value has a newline or another control character.
    """
    sent: dict[str, str] = {}
    for name, value in given.items():
        if type(value) is not str:
            try:
                value = ", ".join(map(text, values(value)))
            except NoTextError as error:
                raise _refused(f"the header {name!r} cannot be sent: {error}", request) from None
        if not _TOKEN.fullmatch(name):
            raise _refused(f"{name!r} is no header name", request)
        if not _HEADER_VALUE.fullmatch(value):
            raise _refused(
                f"the value of the header {name!r} has characters that no header may have", request
            )
        sent[name] = value
    return sent


_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_PARAMETER = re.compile(r""";\s*([^\s=;,"]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]*))""")


def links(header: str) -> dict[str, dict[str, str]]:
    """Return the links of a ``Link`` header by relation, in lower case, or by URL when they have none.

    >>> links('<http://a/?page=2>; rel="next"')
    {'next': {'rel': 'next', 'url': 'http://a/?page=2'}}
    """
    found: dict[str, dict[str, str]] = {}
    for url, rest in _LINK.findall(header):
        link: dict[str, str] = {}
        for key, quoted, plain in _PARAMETER.findall(rest):
            link.setdefault(key.lower(), quoted or plain)  # of several the first counts (RFC 8288, 3.3)
        link["url"] = url
        for relation in link.get("rel", "").lower().split() or [url]:
            found[relation] = link
    return found


def _refused(message: str, request: HTTPRequest) -> Exception:
    from cqrs.http.errors import HTTPRequestError  # which needs the messages, which need this module

    return HTTPRequestError(message, request)
