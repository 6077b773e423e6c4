"""Making asyncio clients of redis-py 5 to 8 or of valkey-py, with timeouts and without retries.

redis-py 8 retries by default: a refused connection would cost seconds. The library is imported inside
functions only.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

LIBRARIES = ("redis", "valkey")


def installed() -> str:
    """Return which library is installed: redis, else valkey.

    Raises:
        ImportError: neither.
    """
    for name in LIBRARIES:
        try:
            importlib.import_module(f"{name}.asyncio")
        except ModuleNotFoundError as error:
            if error.name not in (name, f"{name}.asyncio"):
                raise
        else:
            return name
    raise ImportError('RedisStore needs a client library: pip install "holdfast[redis]"')


class Maker:
    """Makes clients of one library with the store's timeouts."""

    def __init__(self, library: str, connect_timeout: float) -> None:
        self.library = library
        self._connect_timeout = connect_timeout

    def module(self, name: str) -> ModuleType:
        """Import a module of the library."""
        return importlib.import_module(f"{self.library}.{name}")

    def client_class(self, suffix: str = "") -> Any:
        """Return the class of its asyncio clients."""
        return getattr(self.module("asyncio"), self.library.capitalize() + suffix)

    def connection_class(self, *, tls: bool, unix: bool) -> Any:
        """Return the class of asyncio connections of that kind."""
        name = "UnixDomainSocketConnection" if unix else "SSLConnection" if tls else "Connection"
        return getattr(self.module("asyncio.connection"), name)

    def timeouts(self) -> dict[str, Any]:
        """Return the arguments that keep a connection from retrying, and from waiting longer than allowed."""
        retry = self.module("asyncio.retry").Retry(self.module("backoff").NoBackoff(), 0)
        limit = self._connect_timeout
        return {"retry": retry, "socket_timeout": limit, "socket_connect_timeout": limit}

    def settings(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return all arguments of a connection; RESP2 is what every server and every proxy speaks."""
        alive = {} if "path" in options else {"socket_keepalive": True}
        return {**options, **alive, "protocol": 2, **self.timeouts()}

    def single(self, connection_class: Any, arguments: dict[str, Any]) -> Any:
        """Return a client for one server."""
        pool = self.module("asyncio").ConnectionPool(connection_class=connection_class, **arguments)
        return self.client_class()(connection_pool=pool)

    def sentinel(
        self,
        hosts: Iterable[tuple[str, int]],
        service: str,
        tls: bool,
        options: dict[str, Any],
        sentinel_options: dict[str, Any],
        least: int = 0,
    ) -> Any:
        """Return a client for the server that sentinels name."""
        arguments = self.settings(options)
        manager = self.module("asyncio.sentinel").Sentinel(
            list(hosts),
            min_other_sentinels=least,
            sentinel_kwargs=self.settings(sentinel_options),
            **(arguments | {"ssl": True} if tls else arguments),
        )
        return manager.master_for(service)

    def cluster(self, hosts: Iterable[tuple[str, int]], tls: bool, options: dict[str, Any]) -> Any:
        """Return a client for a cluster, of which some nodes are known."""
        node = self.module("asyncio.cluster").ClusterNode
        arguments: dict[str, Any] = self.settings(options) | {"ssl": tls}
        retry: object = arguments["retry"]
        if not hasattr(retry, "get_retries"):  # before redis-py 6, a number of its own
            arguments["cluster_error_retry_attempts"] = 0
        nodes = [node(host, port) for host, port in hosts]
        return self.client_class("Cluster")(startup_nodes=nodes, **arguments)
