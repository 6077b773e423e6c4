"""Where requests go: parts of a URL, and whether a redirection may be followed."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, urljoin, urlsplit

from cqrs.http.errors import HTTPRequestError
from cqrs.http.messages import HTTPRequest, HTTPResponse

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)")
_AS_IT_IS = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?\[\]-]*", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port.

    Attributes:
        scheme: ``"http"`` or ``"https"``.
        host: as the resolver takes it: ASCII, an IPv6 address without brackets.
        port: as it was written, ``None`` for the usual one.
        netloc: what the ``Host`` header says.
        authorization: value of that header when the URL had a user, else ``None``.
    """

    scheme: str
    host: str
    port: int | None
    netloc: str
    authorization: str | None

    @property
    def identity(self) -> tuple[str, str, int]:
        """What two URLs of one origin have in common (RFC 6454, 4)."""
        return self.scheme, self.host.lower(), self.port or _PORTS[self.scheme]


def split(url: str, request: HTTPRequest) -> tuple[Origin, str]:
    """Return the origin of a URL, and what comes after it.

    Raises:
        HTTPRequestError: it is no ``http`` or ``https`` URL.
    """
    match = _URL.match(url)
    origin = None if match is None else _origin(match[1].lower(), match[2])
    if match is None or origin is None:
        raise HTTPRequestError("its URL does not begin with http:// or https:// and a host", request)
    target = match[3]
    if not target.startswith("/"):
        target = "/" + target
    if not _AS_IT_IS.fullmatch(target):
        target = quote(target, safe="/?%:@!$&'()*+,;=~[]")
    return origin, target


@lru_cache(maxsize=1024)
def _origin(scheme: str, authority: str) -> Origin | None:
    user, at, netloc = authority.rpartition("@")
    try:
        parts = urlsplit(f"//{netloc}")
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError:
        return None
    if scheme not in _PORTS or not host or re.search(r"[\x00-\x20\x7f]", netloc):
        return None
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS[scheme]:
        shown = f"{shown}:{port}"
    name, _, password = user.partition(":")
    credentials = f"{unquote(name)}:{unquote(password)}".encode()
    return Origin(scheme, host, port, shown, f"Basic {b64encode(credentials).decode()}" if at else None)


def next_url(request: HTTPRequest, url: str, response: HTTPResponse) -> str | None:
    """Return the URL to go to after an answer; ``None``: it is the answer."""
    status = response.status_code
    if status not in _REDIRECTIONS:
        return None
    return _redirection(request, url, status, response.headers.get("location"))


def _redirection(request: HTTPRequest, url: str, status: int, location: str | None) -> str | None:
    """Return the URL of a redirection that may be followed; ``None``: this answer is the answer.

    It must stay within the origin, and must not turn one method into another.
    """
    if not location:
        return None
    if request.method not in ("GET", "HEAD") and status not in (307, 308):
        return None
    if request.attachments:
        return None  # what was read from a file is gone
    there = urljoin(url, location)
    if "@" in urlsplit(there).netloc and urlsplit(there).netloc != urlsplit(url).netloc:
        return None
    try:
        here, other = split(url, request)[0], split(there, request)[0]
    except HTTPRequestError:
        return None
    return there if here.identity == other.identity else None
