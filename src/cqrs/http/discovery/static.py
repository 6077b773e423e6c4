"""Services whose places are known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from cqrs.exceptions import ConfigurationTypeError
from cqrs.http.errors import DiscoveryError

# A mapping is invariant in its keys: without the last two, a dict with versions only would not fit.
Endpoints: TypeAlias = (
    Mapping[tuple[str, str | None], str] | Mapping[tuple[str, str], str] | Mapping[tuple[str, None], str]
)


class _StaticDiscovery:
    """Services at fixed URLs.

    Args:
        endpoints: base URLs by ``(service, version)``; the version of an unversioned service is ``None``.

    Raises:
        ConfigurationTypeError: a key or a URL is not of that form.

    >>> SyncStaticDiscovery({("user", "v1"): "http://user:8000/v1/"}).get_endpoint("user", "v1")
    'http://user:8000/v1'
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints: dict[tuple[str, str | None], str] = {}
        for key, url in endpoints.items():
            if type(key) is not tuple or len(key) != 2 or not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance, reportUnnecessaryComparison]
                raise ConfigurationTypeError(
                    f"endpoints are {{(service, version): url}}, not {{{key!r}: {url!r}}}"
                )
            if not url.startswith(("http://", "https://")):
                raise ConfigurationTypeError(
                    f"the URL of {key[0]!r} must begin with http:// or https://: {url!r}"
                )
            self._endpoints[key] = url.rstrip("/")

    def known(self, service: str, version: str | None) -> str:
        """Return the base URL of a service.

        Raises:
            DiscoveryError: there is none.
        """
        url = self._endpoints.get((service, version))
        if url is None:
            raise DiscoveryError("it is not among the endpoints of this discovery", service, version)
        return url


class AsyncStaticDiscovery(_StaticDiscovery):
    __doc__ = _StaticDiscovery.__doc__

    async def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of a service; raises like ``known``."""
        return self.known(service, version)


class SyncStaticDiscovery(_StaticDiscovery):
    __doc__ = _StaticDiscovery.__doc__

    def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of a service; raises like ``known``."""
        return self.known(service, version)
