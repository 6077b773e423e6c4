"""Members that stand still or listen badly (faults 19 and 25)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.integration.fleet.member import Member
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

POLICY = "CircuitBreakerPolicy.consecutive(3, ttl=0.5, permit_lease=0.5)"
LONG = "CircuitBreakerPolicy.consecutive(3, ttl=30)"


def block_listener(member: Member) -> None:
    """Have a listener that does not return before ``free_listener``."""
    free = member.kept["free"] = threading.Event()
    member.breakers.add_listener(lambda event: free.wait(30))


def free_listener(member: Member) -> None:
    member.kept["free"].set()


def test_a_listener_that_blocks_delays_neither_calls_nor_the_exchange(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, POLICY)
    fleet[0].do(block_listener)
    fleet[0].begin_traffic("well")
    fleet.trip("pay")  # events for the listener, of this process and of the fleet
    until(lambda: fleet[0].call("pay") == ["ok"], "it probes")
    fleet[1].call("mail", outcome="fail", times=3)
    until(lambda: fleet[0].machine("mail")["fleet"] == "open", "it hears of others")
    asked = server.script_calls()
    until(lambda: server.script_calls() > asked + 10, "exchanges")
    assert fleet[0].health()["age"] < 1.0
    until(lambda: fleet[0].seen(kind="StateChanged", flush=0.001), "another listener is told")
    report = fleet[0].traffic_report(stop=True)
    assert (report["strange"], set(report["counts"])) == ([], {"ok"})
    assert report["longest"] <= 0.5 + report["noise"]
    fleet[0].do(free_listener)


def look_after_a_stop(member: Member, name: str) -> dict[str, Any]:
    """Watch the clock; tell what this thread finds, first of all, when it has stood still."""
    ends, last = time.monotonic() + 15.0, time.monotonic()
    member.kept["looking"] = True
    while last < ends:
        now = time.monotonic()
        if now - last > 0.8:
            health = member.store.health()
            return {"degraded": health.degraded, "age": health.age, "call": member.call(name)[0]}
        last = now
    raise RuntimeError("nobody has stopped this process")


def is_looking(member: Member) -> bool:
    return "looking" in member.kept


def test_a_suspended_process_hears_of_what_it_missed_and_says_that_it_was_away(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, LONG)
    away, other = fleet
    assert away.call("pay") == ["ok"]
    away.freeze()
    other.call("pay", outcome="fail", times=3)
    until(lambda: other.machine("pay")["fleet"] == "open", "open")
    missed = time.monotonic() + 1.0
    until(lambda: time.monotonic() > missed, "longer than max_staleness, which is 0.35 s")
    away.thaw()
    until(lambda: away.machine("pay")["fleet"] == "open", "it hears of the opening", 3)
    assert away.call("pay") == ["rejected"]
    until(lambda: not away.health()["degraded"], "in touch again", 3)
    kinds = [each["kind"] for each in away.seen() if each["kind"].startswith("Store")]
    assert kinds in ([], ["StoreDegraded", "StoreRecovered"])


def test_after_a_stop_health_is_either_degraded_or_fresh(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(1, server.url, LONG)
    (away,) = fleet
    answer = away.begin(look_after_a_stop, name="pay", apart=True)
    until(lambda: away.do(is_looking), "it looks at the clock")
    away.freeze()
    missed = time.monotonic() + 1.0
    until(lambda: time.monotonic() > missed, "longer than max_staleness, which is 0.35 s")
    away.thaw()
    found = answer.result()
    assert found["degraded"] or found["age"] <= 0.35, found
    assert found["call"] == "ok"


def test_an_open_circuit_whose_wait_ends_during_a_stop_asks_before_it_probes(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, POLICY, command_timeout=1.0)
    away, other = fleet
    fleet.trip("pay")
    away.freeze()
    until(lambda: other.hold("pay") == "probe", "the other probes")
    missed = time.monotonic() + 1.0
    until(lambda: time.monotonic() > missed, "longer than max_staleness")
    away.thaw()
    # Stale as it is, it must not probe by itself beside the other one while the store can be asked.
    results = [away.hold("pay") for _ in range(20)]
    assert results == ["rejected"] * 20
    other.settle(key="pay", verdict="success")
    fleet.until_state("pay", "closed", limit=5)
