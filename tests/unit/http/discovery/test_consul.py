"""What is asked of Consul, and how its answers are read."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from cqrs.http.errors import DiscoveryError
from tests.unit.http.discovery.side import Side, body, consul_entry, refused


def test_the_healthy_instances_are_asked_for(consul: Side) -> None:
    consul.find(consul.make())
    (request,) = consul.server.asked
    assert (request.method, request.url) == ("GET", "http://consul:8500/v1/health/service/user-v1?passing=1")
    assert request.wire_headers == {}
    assert consul.server.arguments == [("consul", "/health/service/{name}")]


@pytest.mark.parametrize("token", ["hunter2", SecretStr("hunter2")])
def test_the_token_is_sent_and_not_told(consul: Side, token: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    discovery = consul.make(consul_token=token, cache_ttl=10.0)
    consul.find(discovery)
    (request,) = consul.server.asked
    assert request.wire_headers == {"X-Consul-Token": "hunter2"}
    assert "hunter2" not in repr(request.headers)
    consul.server.answer = refused()
    consul.clock.advance(10.0)
    consul.fresh(discovery)
    with pytest.raises(DiscoveryError) as info:
        consul.find(discovery, "other")
    assert "hunter2" not in repr(info.value) + repr(vars(discovery)) + caplog.text


@pytest.mark.parametrize(
    ("address", "node", "url"),
    [
        ("10.0.0.1", "10.9.9.9", "http://10.0.0.1:8000/v1"),
        ("", "10.9.9.9", "http://10.9.9.9:8000/v1"),
        ("user.internal", "", "http://user.internal:8000/v1"),
        ("2001:db8::7", "", "http://[2001:db8::7]:8000/v1"),
        ("[2001:db8::7]", "", "http://[2001:db8::7]:8000/v1"),
        ("", "::1", "http://[::1]:8000/v1"),
        ("fe80::1%eth0", "", "http://[fe80::1%25eth0]:8000/v1"),
    ],
)
def test_addresses(consul: Side, address: str, node: str, url: str) -> None:
    consul.server.answer = body([consul_entry(address, node=node)])
    assert consul.find(consul.make()) == url


@pytest.mark.parametrize(
    "address", ["10.0.0.1/x", "a@b", "a b", "{x}", "a:80", "::1]/", "::1%a/b", "::1%", "-", "", "é"]
)
def test_what_is_no_address_is_refused(consul: Side, address: str) -> None:
    consul.server.answer = body([consul_entry(address, node=address)])
    with pytest.raises(DiscoveryError, match="which is no address"):
        consul.find(consul.make())


def test_names_and_urls_of_ones_own(consul: Side) -> None:
    discovery = consul.make(
        addr="https://consul.internal/v1/",
        service_name_fmt="{version}.{service}",
        service_url_fmt="https://{address}:{port}/{service}/{version}/",
        unversioned_service_name_fmt="plain-{service}",
        unversioned_service_url_fmt="https://{address}:{port}/{service}",
    )
    assert consul.find(discovery, "user-data", "v1") == "https://10.0.0.1:8000/user-data/v1"
    assert consul.find(discovery, "user-data", None) == "https://10.0.0.1:8000/user-data"
    assert [request.url for request in consul.server.asked] == [
        "https://consul.internal/v1/health/service/v1.user-data?passing=1",
        "https://consul.internal/v1/health/service/plain-user-data?passing=1",
    ]


def test_a_name_stays_in_its_segment(consul: Side) -> None:
    assert consul.find(consul.make(), "../a?b", "v/1") == "http://10.0.0.1:8000/v%2F1"
    (request,) = consul.server.asked
    assert request.url == "http://consul:8500/v1/health/service/..%2Fa%3Fb-v%2F1?passing=1"


def test_a_wrong_address_of_the_api_is_guessed_from_a_404(consul: Side) -> None:
    consul.server.answer = body("not found", 404)
    with pytest.raises(DiscoveryError, match=r"http://consul:8500 answered 404 .*is that the address of its"):
        consul.find(consul.make(addr="http://consul:8500"))


def test_the_same_instance_listed_twice_has_one_turn(consul: Side) -> None:
    consul.server.answer = consul.listing("10.0.0.1", "10.0.0.1", "10.0.0.2")
    discovery = consul.make()
    found = [consul.find(discovery) for _ in range(4)]
    assert found == ["http://10.0.0.1:8000/v1", "http://10.0.0.2:8000/v1"] * 2
