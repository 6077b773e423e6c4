"""Stored answers in memory."""

from __future__ import annotations

import uuid

import pytest

hishel = pytest.importorskip("hishel")

from cqrs.exceptions import PolicyError  # noqa: E402
from cqrs.http.cache_memory import MOST_VARIANTS, MemoryCache, Stored  # noqa: E402


def stored(content: bytes = b"x", method: str = "GET", **headers: str) -> Stored:
    request = hishel.Request(method, "u", hishel.Headers(headers))
    return Stored(hishel.Entry(uuid.uuid4(), request, hishel.Response(200)), content)


def contents(cache: MemoryCache, key: str) -> list[bytes]:
    return [one.content for one in cache.get(key)]


def test_what_was_put_is_got() -> None:
    cache = MemoryCache()
    cache.put("a", stored(b"1"))
    assert contents(cache, "a") == [b"1"]
    assert contents(cache, "b") == []


def test_an_answer_to_the_same_request_is_replaced() -> None:
    cache = MemoryCache()
    cache.put("a", stored(b"1", accept="x"))
    cache.put("a", stored(b"2", accept="y"))
    cache.put("a", stored(b"3", "HEAD", accept="x"))
    cache.put("a", stored(b"4", accept="x"))
    assert contents(cache, "a") == [b"2", b"3", b"4"]
    assert len(cache) == 3


def test_variants_of_one_url_are_limited() -> None:
    cache = MemoryCache()
    for number in range(100):
        cache.put("a", stored(str(number).encode(), accept=str(number)))
    assert contents(cache, "a") == [str(number).encode() for number in range(100 - MOST_VARIANTS, 100)]


def test_the_longest_unused_goes_first() -> None:
    cache = MemoryCache(max_entries=2)
    cache.put("a", stored())
    cache.put("b", stored())
    cache.get("a")
    cache.put("c", stored())
    assert [bool(cache.get(key)) for key in "abc"] == [True, False, True]
    assert len(cache) == 2


def test_bytes_are_limited() -> None:
    cache = MemoryCache(max_bytes=5200)  # two of 2000 bytes and what is around them
    for key in "abc":
        cache.put(key, stored(b"x" * 2000))
    assert [bool(cache.get(key)) for key in "abc"] == [False, True, True]


def test_what_is_too_large_is_not_stored_and_pushes_nothing_out() -> None:
    cache = MemoryCache(max_bytes=5000)
    cache.put("a", stored())
    cache.put("b", stored(b"x" * 5000))
    assert [bool(cache.get(key)) for key in "ab"] == [True, False]


def test_answers_are_removed_one_by_one_or_all() -> None:
    cache = MemoryCache()
    one, two = stored(b"1", accept="x"), stored(b"2", accept="y")
    cache.put("a", one)
    cache.put("a", two)
    cache.remove("a", [one.entry.id])
    assert contents(cache, "a") == [b"2"]
    cache.remove("a")
    cache.remove("nothing")
    assert (contents(cache, "a"), len(cache)) == ([], 0)
    cache.put("a", one)
    cache.clear()
    assert (contents(cache, "a"), len(cache)) == ([], 0)


def test_headers_are_replaced() -> None:
    cache = MemoryCache()
    one = stored(b"1")
    cache.put("a", one)
    cache.update("a", one.entry.id, hishel.Headers({"etag": "2"}))
    cache.update("a", uuid.uuid4(), hishel.Headers({"etag": "3"}))
    (now,) = cache.get("a")
    assert (now.entry.response.headers["etag"], now.content) == ("2", b"1")


@pytest.mark.parametrize("options", [{"max_entries": 0}, {"max_bytes": 0}])
def test_wrong_limits_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(PolicyError, match=next(iter(options))):
        MemoryCache(**options)
