"""The deadline of blocking calls."""

from __future__ import annotations

import math
import threading
import time

import pytest

from cqrs.http.transports.pools import Deadline, proxy_for


class Late(Exception):
    pass


def test_a_wait_is_as_long_as_what_is_left_of_the_call() -> None:
    deadline = Deadline()
    deadline.at = time.monotonic() + 1000
    for given in (5000, None):
        limit = deadline.shorten(given, Late)
        assert limit is not None
        assert 0 < limit <= 1000
    assert deadline.shorten(1, Late) == 1


def test_there_is_no_wait_after_the_deadline() -> None:
    deadline = Deadline()
    deadline.at = time.monotonic() - 1
    with pytest.raises(Late):
        deadline.shorten(5, Late)


def test_each_thread_has_its_own() -> None:
    deadline = Deadline()
    deadline.at = 0
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(deadline.at))
    thread.start()
    thread.join()
    assert found == [math.inf]


def test_proxies_are_found_by_scheme_before_all() -> None:
    proxies = {"all": "http://a", "https://": "http://s"}
    assert proxy_for(proxies, "https") == "http://s"
    assert proxy_for(proxies, "http") == "http://a"
    assert proxy_for(None, "http") is None
