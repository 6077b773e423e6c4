"""The upstreams of a task of Nomad, which it names in the environment.

Source: Nomad, "Runtime environment settings", ``NOMAD_UPSTREAM_ADDR_<service>``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from cqrs.http.discovery.names import Template, url_template
from cqrs.http.errors import DiscoveryError

_NOT_IN_A_VARIABLE = re.compile(r"[^A-Za-z0-9_]", re.ASCII)
_UPSTREAM = re.compile(r"[A-Za-z0-9_.:\[\]%~-]+", re.ASCII)


class _NomadDiscovery:
    """The upstreams of a task, whose addresses Nomad puts into its environment. Asks nobody.

    The environment is read at each call. In the name of a variable, what is no letter, digit or underscore
    (the dash of ``user-data``) is an underscore, as Nomad writes it; the name as it is is accepted too.

    Args:
        service_url_fmt: base URL of a service; may hold ``{nomad_upstream_addr}``, ``{service}`` and
            ``{version}``.
        unversioned_service_url_fmt: the same for a service without a version.
        service_env_fmt: name of the variable; may hold ``{service}`` and ``{version}``.
        unversioned_service_env_fmt: the same for a service without a version.
        environ: variables by name; ``None``: those of the process.

    Raises:
        ConfigurationTypeError: a format is of the wrong kind, or something else stands in braces.

    >>> upstreams = {"NOMAD_UPSTREAM_ADDR_user_data_v1": "127.0.0.1:9191"}
    >>> SyncNomadDiscovery(environ=upstreams).get_endpoint("user-data", "v1")
    'http://127.0.0.1:9191/v1'
    """

    def __init__(
        self,
        service_url_fmt: str = "http://{nomad_upstream_addr}/{version}",
        unversioned_service_url_fmt: str = "http://{nomad_upstream_addr}",
        service_env_fmt: str = "NOMAD_UPSTREAM_ADDR_{service}_{version}",
        unversioned_service_env_fmt: str = "NOMAD_UPSTREAM_ADDR_{service}",
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        place = ("nomad_upstream_addr", "service")
        unversioned = url_template("unversioned_service_url_fmt", unversioned_service_url_fmt, place)
        self._urls = (url_template("service_url_fmt", service_url_fmt, (*place, "version")), unversioned)
        self._variables = (
            Template("service_env_fmt", service_env_fmt, ("service", "version")),
            Template("unversioned_service_env_fmt", unversioned_service_env_fmt, ("service",)),
        )
        self._environ = environ

    def known(self, service: str, version: str | None) -> str:
        """Return the base URL of a service.

        Raises:
            DiscoveryError: its variable is not set, or holds no address.
        """
        environ = os.environ if self._environ is None else self._environ
        kind = 1 if version is None else 0
        as_it_is = self._variables[kind].fill(service=service, version=version or "")
        variable = _NOT_IN_A_VARIABLE.sub("_", as_it_is)
        address = environ.get(variable) or environ.get(as_it_is)
        if not address:
            raise DiscoveryError(
                f"the environment variable {variable} is not set; is it an upstream of this task?",
                service,
                version,
            )
        if not _UPSTREAM.fullmatch(address):
            raise DiscoveryError(
                f"the environment variable {variable} holds no address but {address!r}", service, version
            )
        return self._urls[kind].url(service, version, nomad_upstream_addr=address)


class AsyncNomadDiscovery(_NomadDiscovery):
    __doc__ = _NomadDiscovery.__doc__

    async def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of a service; raises like ``known``."""
        return self.known(service, version)


class SyncNomadDiscovery(_NomadDiscovery):
    __doc__ = _NomadDiscovery.__doc__

    def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of a service; raises like ``known``."""
        return self.known(service, version)
