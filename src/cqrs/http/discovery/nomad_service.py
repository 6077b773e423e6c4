"""Services that are registered with Nomad itself (``provider = "nomad"``), by its API.

Source: HTTP API of Nomad, "Read Service".
"""

from __future__ import annotations

from typing import Any, Unpack

from pydantic import SecretStr

from cqrs.http.discovery.directory import Directory, Formats
from cqrs.http.discovery.lookup import Options
from cqrs.http.discovery.shells import AsyncLookup, SyncLookup
from cqrs.http.typing import AsyncTransport, SyncTransport


class _NomadService(Directory):
    """The instances of services that Nomad knows.

    Nomad lists every instance that is registered, whatever its checks say: those that are down are found out
    by calls that fail.

    A call is answered from memory. A list older than ``cache_ttl`` is renewed beside the calls, by one
    question at a time; only one that nobody has needed for as long again is waited for. While Nomad does not
    answer, a list is used for ``stale_for`` more, with one warning, and Nomad is left alone for a while that
    grows (``breaker`` is the ``CircuitBreaker``): an outage of it costs callers its short timeout once per
    attempt, not once per call. Instances are picked in turn; one to which no connection could be made is
    avoided for a while and makes the list be renewed early. Threads and event loops may share a discovery.

    Args:
        addr: URL of Nomad's API, without user and password.
        service_name_fmt: name of a service there; may hold ``{service}`` and ``{version}``.
        service_url_fmt: base URL of an instance; may hold ``{address}``, ``{port}``, ``{service}`` and
            ``{version}``.
        unversioned_service_name_fmt, unversioned_service_url_fmt: the same for services without a version.
        token: token of an ACL, sent as ``X-Nomad-Token``; a ``str`` or a ``SecretStr``; ``""``: none.
        namespace: namespace of the services; ``None``: that of the token, or the default one.
        transport: what sends the questions; ``None``: over httpx, made when it is first needed.
        options: ``cache_ttl``, ``stale_for``, ``avoid_for``, ``timeout``, ``policy``, ``clock``, ``random``;
            see ``Options``.

    Raises:
        ConfigurationError: an argument is of the wrong kind or out of range.
    """

    kind = "nomad"
    title = "Nomad"
    subpath = "/service/{name}"
    token_header = "X-Nomad-Token"
    unknown_status = 404

    def locate(self, item: Any) -> tuple[Any, Any]:
        """Return address and port of an entry."""
        return item["Address"], item["Port"]


class AsyncNomadServiceDiscovery(AsyncLookup, _NomadService):
    __doc__ = _NomadService.__doc__

    def __init__(
        self,
        addr: str = "http://localhost:4646/v1",
        token: str | SecretStr = "",
        namespace: str | None = None,
        *,
        service_name_fmt: str = "{service}-{version}",
        service_url_fmt: str = "http://{address}:{port}/{version}",
        unversioned_service_name_fmt: str = "{service}",
        unversioned_service_url_fmt: str = "http://{address}:{port}",
        transport: AsyncTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        formats = Formats(
            service_name_fmt,
            service_url_fmt,
            unversioned_service_name_fmt,
            unversioned_service_url_fmt,
        )
        query = {} if namespace is None else {"namespace": namespace}
        where, path = self._set(addr, formats, token, query)
        super().__init__(where, path, transport, options)


class SyncNomadServiceDiscovery(SyncLookup, _NomadService):
    __doc__ = _NomadService.__doc__

    def __init__(
        self,
        addr: str = "http://localhost:4646/v1",
        token: str | SecretStr = "",
        namespace: str | None = None,
        *,
        service_name_fmt: str = "{service}-{version}",
        service_url_fmt: str = "http://{address}:{port}/{version}",
        unversioned_service_name_fmt: str = "{service}",
        unversioned_service_url_fmt: str = "http://{address}:{port}",
        transport: SyncTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        formats = Formats(
            service_name_fmt,
            service_url_fmt,
            unversioned_service_name_fmt,
            unversioned_service_url_fmt,
        )
        query = {} if namespace is None else {"namespace": namespace}
        where, path = self._set(addr, formats, token, query)
        super().__init__(where, path, transport, options)
