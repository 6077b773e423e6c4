"""URLs are checked before anything is connected, and never repeat a password."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker.redis import RedisStore
from cqrs.circuit_breaker.redis.urls import parse
from cqrs.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("url", "hosts", "options", "shown"),
    [
        ("redis://cache", (("cache", 6379),), {}, "redis://cache:6379"),
        ("redis://cache:1/2", (("cache", 1),), {"db": 2}, "redis://cache:1/2"),
        ("redis://cache/?db=3", (("cache", 6379),), {"db": 3}, "redis://cache:6379/3"),
        ("redis://:p%40ss@cache", (("cache", 6379),), {"password": "p@ss"}, "redis://cache:6379"),
        (
            "redis://ann:pw@cache",
            (("cache", 6379),),
            {"username": "ann", "password": "pw"},
            "redis://cache:6379",
        ),
        ("redis://ann@cache", (("cache", 6379),), {"username": "ann"}, "redis://cache:6379"),
        ("redis://[::1]:7000/0", (("::1", 7000),), {"db": 0}, "redis://[::1]:7000/0"),
        ("redis://[::1]", (("::1", 6379),), {}, "redis://[::1]:6379"),
        (
            "rediss://cache?ssl_ca_certs=/ca.pem&ssl_check_hostname=no",
            (("cache", 6379),),
            {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False},
            "rediss://cache:6379",
        ),
        ("unix:///run/redis%20x.sock?db=1", (), {"db": 1}, "unix:///run/redis x.sock"),
        ("unix://ann:pw@/run/s", (), {"username": "ann", "password": "pw"}, "unix:///run/s"),
        ("unix:///run/s?password=pw", (), {"password": "pw"}, "unix:///run/s"),
        (
            "redis+sentinel://ann:pw@one:1,two/main/4",
            (("one", 1), ("two", 26379)),
            {"username": "ann", "password": "pw", "db": 4},
            "redis+sentinel://one:1,two:26379/main/4",
        ),
        ("redis+cluster://one:1,two", (("one", 1), ("two", 6379)), {}, "redis+cluster://one:1,two:6379"),
        ("redis+cluster://one/0", (("one", 6379),), {}, "redis+cluster://one:6379"),
        # what other users of the URL need is no mistake
        (
            "redis://cache?socket_timeout=5&decode_responses=true",
            (("cache", 6379),),
            {},
            "redis://cache:6379",
        ),
    ],
)
def test_urls(url: str, hosts: Any, options: dict[str, Any], shown: str) -> None:
    address = parse(url)
    assert (address.hosts, address.options, address.shown) == (hosts, options, shown)


def test_kinds_and_encryption() -> None:
    found = {scheme: parse(f"{scheme}://one/main") for scheme in ("redis+sentinel", "rediss+sentinel")}
    assert {each.kind for each in found.values()} == {"sentinel"}
    assert [each.tls for each in found.values()] == [False, True]
    assert parse("redis+sentinel://one/main").service == "main"
    assert parse("redis+sentinel://one/main?sentinel_password=pw").sentinel == {"password": "pw"}
    assert (parse("rediss+cluster://one").kind, parse("rediss+cluster://one").tls) == ("cluster", True)
    assert (parse("rediss://one").kind, parse("rediss://one").tls) == ("single", True)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://cache", "must begin with one of redis://"),
        ("cache:6379", "must begin with one of"),
        ("", "must begin with one of"),
        ("redis://", "no host"),
        ("redis://:s3cret@", "no host"),
        ("redis://cache:0", "port"),
        ("redis://cache:65536", "port"),
        ("redis://cache:99999999999999999999", "port"),
        ("redis://cache:x", "port"),
        ("redis://cache:٣", "port"),
        ("redis://cache:", "port"),
        ("redis://ann:s3cret", "port"),  # the @ was forgotten
        ("redis://[::1", "cannot be read"),
        ("redis://cache/x", "database"),
        ("redis://cache/1/2", "database"),
        ("redis://cache?db=-1", "database"),
        ("redis://one,two", "has one host"),
        ("redis://cache?sll_certfile=x", "'sll_certfile'"),
        ("rediss://cache?ssl_check_hostname=maybe", "true or false"),
        ("redis://:s3cret#1@cache", "%23"),
        ("unix://", "absolute path"),
        ("unix://run/redis.sock", "absolute path"),
        ("redis+sentinel://one", "name of the service"),
        ("redis+sentinel://one/main/x", "database"),
        ("redis+cluster://one/1", "databases"),
        ("redis+cluster://one,", "no host"),
    ],
)
def test_wrong_urls(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        RedisStore(url, namespace="test")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_nothing_shows_a_password() -> None:
    store = RedisStore("redis://ann:s3cret@cache/1?ssl_password=s3cret", namespace="shop")
    address = parse("redis+sentinel://ann:s3cret@cache/main?sentinel_password=s3cret")
    assert "s3cret" not in f"{store!r} {store.describe()} {store._source!r} {address!r}"
    assert repr(store) == "<RedisStore 'shop' at redis://cache:6379/1>"
