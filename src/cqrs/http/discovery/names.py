"""Names and addresses of services as text: templates, hosts, addresses of servers. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv6Address
from string import Formatter
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from cqrs.exceptions import ConfigurationTypeError

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)


class Instance(NamedTuple):
    """Where one instance of a service listens."""

    address: str
    port: int


def host(address: str) -> str | None:
    """Return an address as it stands in a URL, ``None`` when it is none.

    >>> host("10.0.0.7"), host("fe80::1"), host("fe80::1%eth0"), host("evil/path")
    ('10.0.0.7', '[fe80::1]', '[fe80::1%25eth0]', None)
    """
    if _HOST.fullmatch(address):
        return address
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        zone = IPv6Address(bare).scope_id
    except ValueError:
        return None
    if zone is not None and not _ZONE.fullmatch(zone):
        return None
    return f"[{bare.replace('%', '%25')}]"  # RFC 6874


class Template:
    """A format string whose places are among some names.

    Args:
        field: name of the argument, for errors.
        text: say ``"http://{address}:{port}/{version}"``.
        names: what may stand in braces.

    Raises:
        ConfigurationTypeError: it is not a string, or something else stands in braces.
    """

    __slots__ = ("names", "text")

    def __init__(self, field: str, text: str, names: Collection[str]) -> None:
        known = ", ".join(f"{{{name}}}" for name in names)
        legal = f"{field} must be a string with no other places than {known}"
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"{legal}, not {text!r}")
        try:
            places = list(Formatter().parse(text))
        except ValueError as error:
            raise ConfigurationTypeError(f"{legal}, not {text!r}: {error}") from None
        for literal, name, spec, conversion in places:
            if "{" in literal or "}" in literal or (name is not None and (name not in names or spec)):
                raise ConfigurationTypeError(f"{legal}, not {text!r}")
            if conversion:
                raise ConfigurationTypeError(f"{legal}, not {text!r}")
        self.text = text
        self.names = frozenset(name for _, name, _, _ in places if name is not None)

    def fill(self, **values: str) -> str:
        """Return the text with its values, as they are."""
        return self.text.format(**values)

    def url(self, service: str, version: str | None, **values: str) -> str:
        """Return a base URL; service and version stay within their segment, other values are as they are."""
        named = {"service": service, "version": version or ""}
        return self.text.format(
            **{name: quote(value, safe="") for name, value in named.items()}, **values
        ).rstrip("/")


def url_template(field: str, text: str, names: Collection[str]) -> Template:
    """Return the template of a base URL.

    Raises:
        ConfigurationTypeError: it is none.
    """
    template = Template(field, text, names)
    if not text.startswith(("http://", "https://")):
        raise ConfigurationTypeError(f"{field} must begin with http:// or https://, not {text!r}")
    return template


def server(field: str, address: str) -> str:
    """Return the base URL of a server's API, without a slash at its end.

    Raises:
        ConfigurationTypeError: it is none, or holds a password, which errors and logs would show.
    """
    if not isinstance(address, str) or not address.startswith(("http://", "https://")):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"{field} must begin with http:// or https://, not {address!r}")
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationTypeError(
            f"{field} must not hold a user or password, which errors and logs would show: give a token, or a"
            " transport that sends them"
        )
    if not parts.hostname or parts.query or parts.fragment or "{" in address or "}" in address:
        raise ConfigurationTypeError(f"{field} must be the URL of an API, not {address!r}")
    return address.rstrip("/")
