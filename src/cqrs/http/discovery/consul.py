"""Services that are registered with Consul: the healthy instances of each.

Source: HTTP API of Consul, "List Service Instances for a Service" of the health endpoints.
"""

from __future__ import annotations

from typing import Any, Unpack

from pydantic import SecretStr

from cqrs.http.discovery.directory import Directory, Formats
from cqrs.http.discovery.lookup import Options
from cqrs.http.discovery.shells import AsyncLookup, SyncLookup
from cqrs.http.typing import AsyncTransport, SyncTransport

_HEALTHY = {"passing": "1"}


class _Consul(Directory):
    """The healthy instances of services that Consul knows.

    A call is answered from memory. A list older than ``cache_ttl`` is renewed beside the calls, by one
    question at a time; only one that nobody has needed for as long again is waited for. While Consul does not
    answer, a list is used for ``stale_for`` more, with one warning, and Consul is left alone for a while that
    grows (``breaker`` is the ``CircuitBreaker``): an outage of it costs callers its short timeout once per
    attempt, not once per call. Instances are picked in turn; one to which no connection could be made is
    avoided for a while and makes the list be renewed early. Threads and event loops may share a discovery.

    Args:
        addr: URL of Consul's API, without user and password.
        service_name_fmt: name of a service there; may hold ``{service}`` and ``{version}``.
        service_url_fmt: base URL of an instance; may hold ``{address}``, ``{port}``, ``{service}`` and
            ``{version}``.
        unversioned_service_name_fmt, unversioned_service_url_fmt: the same for services without a version.
        consul_token: token of an ACL, sent as ``X-Consul-Token``; a ``str`` or a ``SecretStr``; ``""``: none.
        transport: what sends the questions; ``None``: over httpx, made when it is first needed.
        options: ``cache_ttl``, ``stale_for``, ``avoid_for``, ``timeout``, ``policy``, ``clock``, ``random``;
            see ``Options``.

    Raises:
        ConfigurationError: an argument is of the wrong kind or out of range.
    """

    kind = "consul"
    title = "Consul"
    subpath = "/health/service/{name}"
    token_header = "X-Consul-Token"

    def locate(self, item: Any) -> tuple[Any, Any]:
        """Return address and port of an entry."""
        service = item["Service"]
        # The address of the service may be empty: then it is that of its node.
        return service.get("Address") or item["Node"]["Address"], service["Port"]


class AsyncConsulDiscovery(AsyncLookup, _Consul):
    __doc__ = _Consul.__doc__

    def __init__(
        self,
        addr: str = "http://consul:8500/v1",
        service_name_fmt: str = "{service}-{version}",
        service_url_fmt: str = "http://{address}:{port}/{version}",
        unversioned_service_name_fmt: str = "{service}",
        unversioned_service_url_fmt: str = "http://{address}:{port}",
        consul_token: str | SecretStr = "",
        *,
        transport: AsyncTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        formats = Formats(
            service_name_fmt,
            service_url_fmt,
            unversioned_service_name_fmt,
            unversioned_service_url_fmt,
        )
        where, path = self._set(addr, formats, consul_token, _HEALTHY)
        super().__init__(where, path, transport, options)


class SyncConsulDiscovery(SyncLookup, _Consul):
    __doc__ = _Consul.__doc__

    def __init__(
        self,
        addr: str = "http://consul:8500/v1",
        service_name_fmt: str = "{service}-{version}",
        service_url_fmt: str = "http://{address}:{port}/{version}",
        unversioned_service_name_fmt: str = "{service}",
        unversioned_service_url_fmt: str = "http://{address}:{port}",
        consul_token: str | SecretStr = "",
        *,
        transport: SyncTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        formats = Formats(
            service_name_fmt,
            service_url_fmt,
            unversioned_service_name_fmt,
            unversioned_service_url_fmt,
        )
        where, path = self._set(addr, formats, consul_token, _HEALTHY)
        super().__init__(where, path, transport, options)
