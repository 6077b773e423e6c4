"""Servers and networks that answer late, wrongly or not at all (fault 12): no call fails, none waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from cqrs.testing import ChaosProxy
from tests.integration.fleet.processes import Worker, until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

# "pay" is closed and busy; "mail" is open for long; "ship" is half-open again and again: its calls ask.
POLICY = "CircuitBreakerPolicy.consecutive(3, ttl=30, permit_lease=0.5)"
POLICIES = {"ship": "CircuitBreakerPolicy.consecutive(1, ttl=0.15, permit_lease=0.5)"}
NAMES = ("pay", "mail", "ship")
PATIENT = {"sync_interval": 0.3, "command_timeout": 0.25}
"""Not to take a busy machine for a server that is lost: that would need 1.15 s.

A request with a new connection and an unknown script is six round trips through the proxy; for each of them
four processes wait for the processor. Some milliseconds each time are 0.1 s: so it has as long as by default.
"""

LONGEST = 0.8
"""Seconds that a call may take besides what the machine takes; ``command_timeout`` is a third of it."""

Fault = Callable[[RedisServer, ChaosProxy], AbstractContextManager[Any]]


@contextmanager
def revoked(server: RedisServer, proxy: ChaosProxy) -> Iterator[None]:
    server.revoke()
    try:
        yield
    finally:
        server.set_user("default", "on")


LOST: dict[str, Fault] = {
    "a server that hangs": lambda server, _: server.frozen(),
    "CLIENT PAUSE": lambda server, _: server.paused(),
    "CLIENT PAUSE of writes": lambda server, _: server.paused(writes_only=True),
    "LOADING": lambda server, _: server.loading(),
    "BUSY": lambda server, _: server.busy(),
    "OOM": lambda server, _: server.out_of_memory(),
    "READONLY": lambda server, _: server.read_only(),
    "MASTERDOWN": lambda server, _: server.master_down(),
    "NOREPLICAS": lambda server, _: server.no_replicas(),
    "a revoked user": revoked,
    "5 s of latency": lambda _, proxy: proxy.latency(2.5),
    "half-open TCP": lambda _, proxy: proxy.black_hole(),
    "half-open TCP, requests lost": lambda _, proxy: proxy.black_hole(direction="up"),
    "half-open TCP, replies lost": lambda _, proxy: proxy.drop_replies(),
    "refused connections": lambda _, proxy: refused(proxy),
    "cut connections": lambda _, proxy: proxy.cut(after_bytes=100),
}


@contextmanager
def refused(proxy: ChaosProxy) -> Iterator[None]:
    with proxy.refuse():
        proxy.cut()
        yield


@pytest.fixture
def busy(server: RedisServer, workers: Callable[..., Workers]) -> Iterator[tuple[Workers, ChaosProxy]]:
    """Two processes behind a proxy, with traffic on all circuits."""
    with ChaosProxy(*server.address) as proxy:
        fleet = workers(2, proxy.url("redis"), POLICY, policies=POLICIES, **PATIENT)
        fleet.trip("mail")
        fleet.trip("ship", times=1)
        fleet.all("begin_traffic", name="pay", pause=0.002)
        fleet.all("begin_traffic", name="mail")
        fleet.all("begin_traffic", name="ship", outcome="fail")
        yield fleet, proxy


def check_calls(fleet: Workers) -> None:
    """Nothing but results and rejections came out of any call, and none took long."""
    for number, name in enumerate(NAMES):
        for report in fleet.all("traffic_report", number=number):
            assert report["strange"] == []
            assert report["longest"] <= LONGEST + report["noise"], name
    for report in fleet.all("traffic_report", number=0):
        assert set(report["counts"]) == {"ok"}, "a closed circuit does not care"
    for report in fleet.all("traffic_report", number=1):
        assert set(report["counts"]) == {"rejected"}, "an open circuit is not forgotten"


def check_fleet(fleet: Workers) -> None:
    """The fleet is one again."""
    assert fleet.all("state", name="mail") == ["open", "open"]
    fleet.all("turn_traffic", outcome="ok", number=2)
    until(
        lambda: all("ok" in each["counts"] for each in fleet.all("traffic_report", number=2)), "ship recovers"
    )
    fleet.trip("new")
    assert fleet[1].call("new") == ["rejected"]


@pytest.mark.parametrize("fault", LOST)
def test_a_store_that_is_lost_harms_no_call_and_is_told_lost_and_found_once(
    busy: tuple[Workers, ChaosProxy], server: RedisServer, fault: str
) -> None:
    fleet, proxy = busy
    until(lambda: all(not each["degraded"] for each in fleet.all("health")), "in touch")
    with LOST[fault](server, proxy):
        began = time.monotonic()
        until(lambda: all(each["degraded"] for each in fleet.all("health")), "degraded")
        calls = calls_of(fleet)
        # Calls go on, and for long enough to hang in each step of a connection.
        until(lambda: all(new > old + 200 for old, new in zip(calls, calls_of(fleet), strict=True)), "calls")
        ends = time.monotonic()
    until(lambda: all(not each["degraded"] for each in fleet.all("health")), "recovered")
    check_calls(fleet)
    check_fleet(fleet)
    for worker in fleet:
        check_news(worker, began, ends)


def calls_of(fleet: Workers) -> list[int]:
    """How many calls each process has made of the closed circuit."""
    return [sum(each["counts"].values()) for each in fleet.all("traffic_report", number=0)]


def check_news(worker: Worker, began: float, ends: float) -> None:
    """Lost once while the fault lasted, found once when it was over."""
    told = [each for each in worker.seen() if each["kind"] in ("StoreDegraded", "StoreRecovered")]
    kinds = [each["kind"] for each in told]
    assert kinds == ["StoreDegraded", "StoreRecovered"] * (len(kinds) // 2) + kinds[:1] * (len(kinds) % 2)
    assert [each["kind"] for each in told if began <= each["at"] <= ends] in ([], ["StoreDegraded"])
    moments = [(each["kind"], round(each["at"] - began, 2), each.get("reason")) for each in told]
    assert len(kinds) == 2 or worker.traffic_report()["noise"] > 0.2, (moments, ends - began)
    assert told[0]["reason"]


HARMLESS: dict[str, Fault] = {
    "20 ms of latency": lambda _, proxy: proxy.latency(0.01),
    "tiny packets": lambda _, proxy: proxy.slice(7, pause=0),
}


@pytest.mark.parametrize("fault", HARMLESS)
def test_a_store_that_is_slow_is_not_lost(
    busy: tuple[Workers, ChaosProxy], server: RedisServer, fault: str
) -> None:
    fleet, proxy = busy
    with HARMLESS[fault](server, proxy):
        asked = server.script_calls()
        until(lambda: server.script_calls() > asked + 30, "exchanges")
    check_calls(fleet)
    check_fleet(fleet)
    check_silence(fleet)


def test_a_server_that_forgets_the_script_is_given_it_again(
    busy: tuple[Workers, ChaosProxy], server: RedisServer
) -> None:
    fleet, _ = busy
    for _ in range(5):
        asked = server.script_calls()
        server.admin.script_flush()
        until(lambda: server.script_calls() > asked + 6, "exchanges")  # noqa: B023
    check_calls(fleet)
    check_fleet(fleet)
    check_silence(fleet)


def test_connections_that_are_cut_now_and_then_are_made_again_without_a_word(
    busy: tuple[Workers, ChaosProxy], server: RedisServer
) -> None:
    fleet, proxy = busy
    for _ in range(5):
        made = proxy.connections
        proxy.cut()
        proxy.wait_for_connections(made + 2)
        asked = server.script_calls()
        until(lambda: server.script_calls() > asked + 6, "exchanges")  # noqa: B023
    check_calls(fleet)
    check_fleet(fleet)
    check_silence(fleet)


def check_silence(fleet: Workers) -> None:
    """Nobody was told that the store is lost, unless the machine was."""
    for worker in fleet:
        assert worker.seen(kind="StoreDegraded") == [] or worker.traffic_report()["noise"] > 0.2
