"""Upstreams in the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cqrs.exceptions import ConfigurationTypeError
from cqrs.http.discovery.nomad import AsyncNomadDiscovery, SyncNomadDiscovery
from cqrs.http.errors import DiscoveryError


def find_async(*call: Any, **options: Any) -> str:
    return asyncio.run(AsyncNomadDiscovery(**options).get_endpoint(*call))


def find(*call: Any, **options: Any) -> str:
    return SyncNomadDiscovery(**options).get_endpoint(*call)


Find = Callable[..., str]


@pytest.fixture(params=[find_async, find])
def found(request: pytest.FixtureRequest) -> Find:
    made: Find = request.param
    return made


def test_versioned_and_unversioned(found: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOMAD_UPSTREAM_ADDR_user_v1", "127.0.0.1:9191")
    monkeypatch.setenv("NOMAD_UPSTREAM_ADDR_user", "127.0.0.1:9192")
    assert found("user", "v1") == "http://127.0.0.1:9191/v1"
    assert found("user", None) == "http://127.0.0.1:9192"


def test_the_environment_is_read_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    discovery = SyncNomadDiscovery()
    monkeypatch.delenv("NOMAD_UPSTREAM_ADDR_user_v1", raising=False)
    with pytest.raises(DiscoveryError):
        discovery.get_endpoint("user", "v1")
    for port in (1, 2):
        monkeypatch.setenv("NOMAD_UPSTREAM_ADDR_user_v1", f"127.0.0.1:{port}")
        assert discovery.get_endpoint("user", "v1") == f"http://127.0.0.1:{port}/v1"
        assert discovery.known("user", "v1") == f"http://127.0.0.1:{port}/v1"


@pytest.mark.parametrize(
    "variable",
    ["NOMAD_UPSTREAM_ADDR_user_data_api_v1_2", "NOMAD_UPSTREAM_ADDR_user-data.api_v1.2"],
)
def test_dashes_and_dots(found: Find, variable: str) -> None:
    assert found("user-data.api", "v1.2", environ={variable: "[::1]:80"}) == "http://[::1]:80/v1.2"


@pytest.mark.parametrize("environ", [{}, {"NOMAD_UPSTREAM_ADDR_user_data_v1": ""}])
def test_a_missing_variable_is_named(found: Find, environ: dict[str, str]) -> None:
    message = "service user-data v1: the environment variable NOMAD_UPSTREAM_ADDR_user_data_v1 is not set"
    with pytest.raises(DiscoveryError, match=message):
        found("user-data", "v1", environ=environ)


def test_what_is_no_address_is_refused(found: Find) -> None:
    with pytest.raises(DiscoveryError, match=r"NOMAD_UPSTREAM_ADDR_user holds no address but '{x}/'"):
        found("user", None, environ={"NOMAD_UPSTREAM_ADDR_user": "{x}/"})


def test_formats_of_ones_own(found: Find) -> None:
    options: dict[str, Any] = {
        "service_url_fmt": "https://{nomad_upstream_addr}/{service}/{version}",
        "unversioned_service_url_fmt": "https://{nomad_upstream_addr}/{service}/",
        "service_env_fmt": "ADDR_{version}_{service}",
        "unversioned_service_env_fmt": "ADDR_{service}",
        "environ": {"ADDR_v1_user": "a:1", "ADDR_user": "a:2"},
    }
    assert found("user", "v1", **options) == "https://a:1/user/v1"
    assert found("user", None, **options) == "https://a:2/user"


def test_formats_are_checked(found: Find) -> None:
    with pytest.raises(ConfigurationTypeError, match="service_env_fmt must be a string with no other places"):
        found("user", "v1", service_env_fmt="{name}")
