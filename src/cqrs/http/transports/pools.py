"""Connection pools of ``httpcore``, under the transports over httpx; and the deadline of blocking calls."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from cqrs.exceptions import ConfigurationError
from cqrs.http.transports.validation import count

_SLICE = 16 * 1024
"""Bytes handed to a blocking write at once: the time that is left is looked at in between."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What pools are made with; see ``AsyncHttpxTransport``."""

    verify_certificate: bool | str | os.PathLike[str] | ssl.SSLContext
    proxies: Mapping[str, str] | None
    http2: bool
    max_connections: int
    max_keepalive: int

    def __post_init__(self) -> None:
        for name in ("max_connections", "max_keepalive"):
            count(name, getattr(self, name), 1)
        check_proxies(self.proxies)


def check_proxies(proxies: Mapping[str, str] | None) -> None:
    """Refuse what is no mapping of schemes to URLs."""
    if proxies is None:
        return
    for scheme, url in proxies.items():
        known = scheme.removesuffix("://") in ("http", "https", "all")
        if not known or not isinstance(url, str) or "://" not in url:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                "proxies maps 'http', 'https' or 'all' to the URL of a proxy, say"
                f" {{'https': 'http://proxy:3128'}}; got {scheme!r}"
            )


def proxy_for(proxies: Mapping[str, str] | None, scheme: str) -> str | None:
    """Return the URL of the proxy for a scheme."""
    if not proxies:
        return None
    names = (scheme, f"{scheme}://", "all", "all://")
    return next((proxies[name] for name in names if name in proxies), None)


def ssl_context(verify: bool | str | os.PathLike[str] | ssl.SSLContext) -> ssl.SSLContext | None:
    """Return the TLS settings for ``verify_certificate``; ``None``: those of the library, which verify.

    Args:
        verify: ``False`` accepts any certificate; a path is a file or folder of certificates to trust.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, (str, os.PathLike)):
        path = os.fspath(verify)
        if os.path.isdir(path):
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    if verify:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def core_of(library: Any) -> Any:
    """Return the ``httpcore`` below a library."""
    return importlib.import_module("httpcore2" if library.__name__ == "httpx2" else "httpcore")


def make_pool(library: Any, options: PoolOptions, scheme: str, backend: Any = None) -> Any:
    """Return a new pool: asynchronous, or a blocking one on a network backend."""
    core = core_of(library)
    kind = "Async" if backend is None else ""
    common: dict[str, Any] = {
        "max_connections": options.max_connections,
        "max_keepalive_connections": options.max_keepalive,
        "keepalive_expiry": 5.0,
        "http2": options.http2,
    }
    if backend is not None:
        common["network_backend"] = backend
    elif scheme == "https":
        common["network_backend"] = TLSBackend(library)
    if scheme == "https":
        context = ssl_context(options.verify_certificate)
        common["ssl_context"] = library.create_ssl_context() if context is None else context
    url = proxy_for(options.proxies, scheme)
    if url is None:
        return getattr(core, f"{kind}ConnectionPool")(**common)
    proxy = library.Proxy(url)
    place = core.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    if proxy.url.scheme in ("socks5", "socks5h"):
        return getattr(core, f"{kind}SOCKSProxy")(proxy_url=place, proxy_auth=proxy.raw_auth, **common)
    return getattr(core, f"{kind}HTTPProxy")(
        proxy_url=place, proxy_auth=proxy.raw_auth, proxy_headers=proxy.headers.raw, **common
    )


class TLSBackend:
    """A network backend of ``httpcore`` that leaves no connection behind when a handshake is cancelled.

    ``httpcore`` closes a connection whose handshake fails, but not one whose handshake is cancelled.
    """

    def __init__(self, library: Any) -> None:
        self._inner = core_of(library).AnyIOBackend()

    async def connect_tcp(self, *args: Any, **options: Any) -> Any:
        return _TLSStream(await self._inner.connect_tcp(*args, **options))


class _TLSStream:
    """A connection before its handshake."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def start_tls(self, *args: Any, **options: Any) -> Any:
        try:
            return await self._inner.start_tls(*args, **options)
        except BaseException:
            await self._inner.aclose()
            raise

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return cast("bytes", await self._inner.read(max_bytes, timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Deadline(threading.local):
    """When the call that this thread is making must be over, on the monotonic clock."""

    at: float = math.inf

    def left(self) -> float:
        """Return the seconds until then."""
        return self.at - time.monotonic()

    def shorten(self, timeout: float | None, late: type[Exception]) -> float | None:
        """Return the shorter of a timeout and the time that is left; raise ``late`` when none is."""
        at = self.at
        if at == math.inf:
            return timeout
        left = at - time.monotonic()
        if left <= 0:
            raise late("the call as a whole took too long")
        return left if timeout is None else min(timeout, left)


class DeadlineBackend:
    """A network backend of ``httpcore`` whose every wait ends with the deadline of its thread.

    A server that sends a byte now and then meets every timeout of a single read; this is how the call as a
    whole ends in time without another thread. The look-up of a name cannot be interrupted.
    """

    def __init__(self, library: Any, deadline: Deadline) -> None:
        core = core_of(library)
        self._inner = core.SyncBackend()
        self._core = core
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Any:
        limit = self._deadline.shorten(timeout, self._core.ConnectTimeout)
        inner = self._inner.connect_tcp(host, port, limit, local_address, socket_options)
        return _Stream(inner, self._core, self._deadline)


class _Stream:
    """A connection."""

    __slots__ = ("_core", "_deadline", "_inner")

    def __init__(self, inner: Any, core: Any, deadline: Deadline) -> None:
        self._inner = inner
        self._core = core
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = self._deadline.shorten(timeout, self._core.ReadTimeout)
        return cast("bytes", self._inner.read(max_bytes, limit))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _SLICE):
            part = buffer if len(buffer) <= _SLICE else buffer[start : start + _SLICE]
            self._inner.write(part, self._deadline.shorten(timeout, self._core.WriteTimeout))

    def close(self) -> None:
        connection: socket.socket | None = self._inner.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):  # it is closed already, by whichever side
                connection.shutdown(socket.SHUT_RDWR)  # or a thread that waits for it would go on waiting
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Any:
        limit = self._deadline.shorten(timeout, self._core.ConnectTimeout)
        secure = self._inner.start_tls(ssl_context, server_hostname, limit)
        return _Stream(secure, self._core, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
