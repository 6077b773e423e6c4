"""Where a store is: the URL, taken apart and checked without a connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cqrs.exceptions import ConfigurationError

SCHEMES = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
DEFAULT_PORTS = {"single": 6379, "cluster": 6379, "sentinel": 26379}

_TEXT_OPTIONS = frozenset(
    {
        "client_name",
        "password",
        "sentinel_password",
        "sentinel_username",
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_password",
        "username",
    }
)
# What a URL may say to other users of the same server; the store has its own timeouts and never retries.
_IGNORED_OPTIONS = frozenset(
    {
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "max_connections",
        "protocol",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_timeout",
        "timeout",
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """A URL in parts.

    Attributes:
        kind: ``"single"``, ``"sentinel"`` or ``"cluster"``.
        hosts: of the server, the sentinels, or some nodes of the cluster; empty for a unix socket.
        path: of a unix socket, else ``""``.
        service: what the sentinels call the server, else ``""``.
        tls: whether connections are encrypted.
        options: arguments of connections: ``db``, ``username``, ``password``, ``ssl_...``, ``client_name``.
        sentinel: ``username`` and ``password`` for the sentinels themselves.
        shown: the URL for people, without user, password and options.
    """

    kind: str
    hosts: tuple[tuple[str, int], ...]
    path: str
    service: str
    tls: bool
    options: dict[str, Any] = field(repr=False)
    sentinel: dict[str, Any] = field(repr=False)
    shown: str


def parse(url: str) -> Address:
    """Take a URL apart.

    Raises:
        ConfigurationError: it is not one of a store; the text does not repeat what could be a password.

    >>> parse("rediss://ann:secret@cache.example:6380/2").shown
    'rediss://cache.example:6380/2'
    >>> parse("redis+sentinel://one,two:26380/main").hosts
    (('one', 26379), ('two', 26380))
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise ConfigurationError(f"the URL of a RedisStore must begin with one of {known}")
    kind, tls = SCHEMES[scheme]
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"the {scheme}:// URL cannot be read: check its host") from None
    if parts.fragment:
        raise ConfigurationError(f"a {scheme}:// URL has no #: write %23 if a password contains it")
    user, at, place = parts.netloc.rpartition("@")
    options = _options(scheme, parts.query)
    if at:
        name, _, password = user.partition(":")
        named = {"username": unquote(name), "password": unquote(password)}
        options = {key: value for key, value in named.items() if value} | options
    sentinel = {key[9:]: options.pop(key) for key in list(options) if key.startswith("sentinel_")}
    if scheme == "unix":
        socket = unquote(parts.path)
        if not socket or place:
            raise ConfigurationError("a unix:// URL needs an absolute path: unix:///run/redis.sock")
        return Address(kind, (), socket, "", False, options, sentinel, f"unix://{socket}")
    hosts = tuple(_host(scheme, text, DEFAULT_PORTS[kind]) for text in place.split(","))
    if kind == "single" and len(hosts) > 1:
        raise ConfigurationError(f"a {scheme}:// URL has one host; for more see +sentinel:// and +cluster://")
    path = [unquote(part) for part in parts.path.split("/") if part]
    service = path.pop(0) if kind == "sentinel" and path else ""
    if kind == "sentinel" and not service:
        raise ConfigurationError(f"a {scheme}:// URL needs the name of the service: {scheme}://host/name")
    if path:
        options.setdefault("db", _number(scheme, "/".join(path)))
    if kind == "cluster" and options.pop("db", 0):
        raise ConfigurationError("a cluster has no databases but 0")
    shown = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
    tail = "".join(f"/{part}" for part in (service, options.get("db", "")) if part != "")
    return Address(kind, hosts, "", service, tls, options, sentinel, f"{scheme}://{shown}{tail}")


def _host(scheme: str, text: str, default: int) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
    if not host:
        raise ConfigurationError(f"the {scheme}:// URL has no host")
    if not colon:
        return unquote(host), default
    # What stands there is not repeated: where an @ was forgotten, it is a password.
    if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise ConfigurationError(f"the port of the {scheme}:// URL is not a number from 1 to 65535")
    return unquote(host), int(port)


def _number(scheme: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(f"the database of the {scheme}:// URL is not a number")
    return int(text)


def _options(scheme: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "db":
            options[name] = _number(scheme, value)
        elif name == "ssl_check_hostname":
            if value.lower() not in ("true", "yes", "1", "false", "no", "0"):
                raise ConfigurationError(f"{name} in the {scheme}:// URL must be true or false")
            options[name] = value.lower() in ("true", "yes", "1")
        elif name in _TEXT_OPTIONS:
            options[name] = value
        elif name not in _IGNORED_OPTIONS:
            raise ConfigurationError(f"the {scheme}:// URL has an option that is not known: {name!r}")
    return options
