"""What is asked of Nomad's API, and how its answers are read."""

from __future__ import annotations

import pytest

from cqrs.http.errors import DiscoveryError
from tests.unit.http.discovery.side import Side, body


def test_the_question(nomad: Side) -> None:
    nomad.find(nomad.make())
    (request,) = nomad.server.asked
    assert (request.method, request.url) == ("GET", "http://localhost:4646/v1/service/user-v1")
    assert request.wire_headers == {}
    assert nomad.server.arguments == [("nomad", "/service/{name}")]


def test_token_and_namespace(nomad: Side) -> None:
    nomad.find(nomad.make("http://nomad:4646/v1/", "hunter2", "shop & co"))
    (request,) = nomad.server.asked
    assert request.url == "http://nomad:4646/v1/service/user-v1?namespace=shop+%26+co"
    assert request.wire_headers == {"X-Nomad-Token": "hunter2"}
    assert "hunter2" not in repr(request.headers)


def test_404_is_an_unknown_service(nomad: Side) -> None:
    nomad.server.answer = body("service not found", 404)
    discovery = nomad.make()
    for _ in range(5):
        with pytest.raises(DiscoveryError, match=r"Nomad at .* knows no healthy instance of 'user-v1'"):
            nomad.find(discovery)
    assert len(nomad.server.asked) == 1
    nomad.server.answer = nomad.listing("10.0.0.1")
    assert nomad.find(discovery, "cart") == "http://10.0.0.1:8000/v1"


def test_ipv6(nomad: Side) -> None:
    nomad.server.answer = nomad.listing("2001:db8::7")
    assert nomad.find(nomad.make()) == "http://[2001:db8::7]:8000/v1"
