"""Services behind a router."""

from __future__ import annotations

import asyncio

import pytest

from cqrs.exceptions import ConfigurationTypeError
from cqrs.http.discovery.router import AsyncRouterDiscovery, SyncRouterDiscovery


def test_urls() -> None:
    discovery = SyncRouterDiscovery()
    assert discovery.get_endpoint("user-data", "v1") == "http://router/user-data-v1/v1"
    assert discovery.get_endpoint("user-data", None) == "http://router/user-data"
    assert discovery.known("user-data", None) == "http://router/user-data"


def test_urls_of_ones_own() -> None:
    discovery = AsyncRouterDiscovery("https://gate/{version}/{service}/", "https://{service}.gate")
    assert asyncio.run(discovery.get_endpoint("user", "v1")) == "https://gate/v1/user"
    assert asyncio.run(discovery.get_endpoint("user", None)) == "https://user.gate"


def test_names_stay_in_their_segment() -> None:
    assert SyncRouterDiscovery().get_endpoint("a/{b}", None) == "http://router/a%2F%7Bb%7D"


@pytest.mark.parametrize("text", ["router/{service}", "http://router/{name}", "http://router/{", 7])
def test_formats_are_checked(text: str) -> None:
    with pytest.raises(ConfigurationTypeError, match="service_url_fmt must"):
        SyncRouterDiscovery(text)
    with pytest.raises(ConfigurationTypeError, match="service_url_fmt must"):
        AsyncRouterDiscovery("http://router", text)
