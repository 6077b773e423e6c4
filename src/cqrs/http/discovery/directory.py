"""What discoveries that ask a server have in common beside the asking: names, URLs, a token, the list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import SecretStr

from cqrs.circuit_breaker import Verdict
from cqrs.http.discovery.lookup import Lookup, LookupFailed
from cqrs.http.discovery.names import Instance, Template, host, server, url_template
from cqrs.http.messages import HTTPRequest, HTTPResponse


class Formats(NamedTuple):
    """Names and URLs of services, with and without a version."""

    service_name_fmt: str
    service_url_fmt: str
    unversioned_service_name_fmt: str
    unversioned_service_url_fmt: str


class Directory(Lookup):
    """A server that answers with a list of instances; a kind of server says how it is asked and read."""

    title = ""
    """The kind of server, for errors."""

    subpath = ""
    """Template of the path, with ``{name}``."""

    token_header = ""

    _address: str
    _formats: tuple[Template, Template, Template, Template]
    _headers: Mapping[str, SecretStr]
    _query: Mapping[str, str]

    def _set(
        self, addr: str, formats: Formats, token: str | SecretStr, query: Mapping[str, str]
    ) -> tuple[str, str]:
        """Take the arguments; return where the server is, for errors, and the path."""
        self._address = server("addr", addr)
        place = ("address", "port", "service")
        self._formats = (
            Template("service_name_fmt", formats[0], ("service", "version")),
            url_template("service_url_fmt", formats[1], (*place, "version")),
            Template("unversioned_service_name_fmt", formats[2], ("service",)),
            url_template("unversioned_service_url_fmt", formats[3], place),
        )
        wrapped = SecretStr(token) if isinstance(token, str) else token
        self._headers = {self.token_header: wrapped} if wrapped.get_secret_value() else {}
        self._query = query
        return f"{self.title} at {self._address}", self.subpath

    def name(self, service: str, version: str | None) -> str:
        """Return the name under which the server knows a service."""
        return self._formats[2 if version is None else 0].fill(service=service, version=version or "")

    def request(self, name: str) -> HTTPRequest:
        """Return the question for the instances of a service."""
        url = self._address + self.subpath
        return HTTPRequest("GET", url, {"name": name}, self._query, {**self._headers})

    def read(self, name: str, response: HTTPResponse) -> Sequence[Instance]:
        """Return the instances that an answer names."""
        return instances(name, response.json, self.locate)

    def locate(self, item: Any) -> tuple[Any, Any]:
        """Return address and port of an entry, as they are there; raises ``LookupError`` or ``TypeError``."""
        raise NotImplementedError

    def url(self, instance: Instance, service: str, version: str | None) -> str:
        """Return the base URL of an instance."""
        template = self._formats[3 if version is None else 1]
        return template.url(service, version, address=instance.address, port=str(instance.port))


def instances(name: str, given: Any, locate: Callable[[Any], tuple[Any, Any]]) -> Sequence[Instance]:
    """Return the instances of a list; those that cannot be used are left out while there are others.

    Raises:
        LookupFailed: it is no list, or nothing in it can be used.
    """
    if not isinstance(given, list):
        raise LookupFailed(f"answered about {name!r} with no list but {type(given).__name__}")
    found: list[Instance] = []
    wrong = ""
    entries: list[Any] = given  # pyright: ignore[reportUnknownVariableType]
    for item in entries:
        try:
            address, port = locate(item)
            place = host(address)
        except (LookupError, TypeError, AttributeError):
            wrong = wrong or "an entry that is no instance"
            continue
        if place is None:
            wrong = wrong or f"an instance at {address!r}, which is no address"
        elif type(port) is not int or not 0 < port < 65536:
            wrong = wrong or f"an instance at port {port!r}"
        else:
            found.append(Instance(place, port))
    if wrong and not found:
        raise LookupFailed(f"answered about {name!r} with {wrong}", Verdict.SUCCESS)
    return found
