"""Services behind one router, which tells them apart by the path."""

from __future__ import annotations

from cqrs.http.discovery.names import url_template


class _RouterDiscovery:
    """Services behind a router. Asks nobody.

    Args:
        service_url_fmt: base URL of a service; may hold ``{service}`` and ``{version}``.
        unversioned_service_url_fmt: the same for a service without a version; may hold ``{service}``.

    Raises:
        ConfigurationTypeError: a format is no URL, or something else stands in braces.

    >>> SyncRouterDiscovery().get_endpoint("user", "v1")
    'http://router/user-v1/v1'
    """

    def __init__(
        self,
        service_url_fmt: str = "http://router/{service}-{version}/{version}",
        unversioned_service_url_fmt: str = "http://router/{service}",
    ) -> None:
        self._versioned = url_template("service_url_fmt", service_url_fmt, ("service", "version"))
        name = "unversioned_service_url_fmt"
        self._unversioned = url_template(name, unversioned_service_url_fmt, ("service",))
        self._urls: dict[tuple[str, str | None], str] = {}

    def known(self, service: str, version: str | None) -> str:
        """Return the base URL of a service."""
        url = self._urls.get((service, version))
        if url is None:
            template = self._unversioned if version is None else self._versioned
            url = self._urls[service, version] = template.url(service, version)
        return url


class AsyncRouterDiscovery(_RouterDiscovery):
    __doc__ = _RouterDiscovery.__doc__

    async def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of a service."""
        return self.known(service, version)


class SyncRouterDiscovery(_RouterDiscovery):
    __doc__ = _RouterDiscovery.__doc__

    def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of a service."""
        return self.known(service, version)
