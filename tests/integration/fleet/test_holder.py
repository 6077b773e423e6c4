"""The process that holds a probe's permit dies, hangs or is suspended (faults 1, 3 and 4)."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.integration.fleet.processes import Worker, until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

LEASE = 0.6
SYNC = 0.1
MARGIN = 1.0  # two cores, shared with others
POLICY = f"CircuitBreakerPolicy.consecutive(3, ttl=0.2, permit_lease={LEASE}, max_probe_duration=30)"


def open_and_hold(fleet: Workers, name: str = "pay") -> None:
    """Open a circuit; the first worker becomes the probe."""
    fleet.trip(name)
    until(lambda: fleet[0].hold(name) == "probe", "the first process probes")


def rejections(worker: Worker) -> int:
    return int(worker.traffic_report()["counts"].get("rejected", 0))


def test_the_fleet_recovers_within_a_lease_when_the_permit_holder_is_killed_under_traffic(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(5, server.url, POLICY, sync_interval=SYNC)
    open_and_hold(fleet)
    others = fleet[1:]
    for other in others:
        other.begin_traffic("pay", threads=4, pause=0.004)  # about 800/s each
    until(lambda: all(rejections(other) > 10 for other in others), "traffic")
    before = server.script_calls()
    fleet[0].kill()
    killed = time.monotonic()
    until(lambda: any("ok" in other.traffic_report()["first"] for other in others), "somebody probes")
    fleet.until_state("pay", "closed")
    after = time.monotonic()
    reports = [other.traffic_report(stop=True) for other in others]
    first = min(report["first"]["ok"] for report in reports if "ok" in report["first"])
    assert first - killed <= LEASE + SYNC + MARGIN
    # F1: bounded by processes, whatever the rate of rejected calls: 20/s each for probes, 10/s for exchanges.
    calls = server.script_calls() - before
    assert calls <= len(others) * 30 * (after - killed) + 10 * len(others)
    assert sum(report["counts"].get("rejected", 0) for report in reports) > 2 * calls
    assert [report["strange"] for report in reports] == [[]] * len(others)


def test_a_probe_whose_call_runs_keeps_its_permit_beyond_the_lease(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, POLICY, sync_interval=SYNC)
    open_and_hold(fleet)
    fleet[1].begin_traffic("pay")
    until(lambda: rejections(fleet[1]) > 10, "traffic")
    epoch = fleet[1].view("pay")["epoch"]
    ends = time.monotonic() + 3 * LEASE
    until(lambda: time.monotonic() > ends, "three leases have passed")
    report = fleet[1].traffic_report(stop=True)
    assert "ok" not in report["counts"]
    assert fleet[1].view("pay")["epoch"] == epoch
    assert fleet[0].settle(key="pay", verdict="success") is True
    fleet.until_state("pay", "closed")


def test_a_hung_probe_is_lost_after_max_probe_duration_and_the_circuit_reopens(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = "CircuitBreakerPolicy.consecutive(3, ttl=0.2, permit_lease=0.3, max_probe_duration=0.6)"
    fleet = workers(2, server.url, policy, sync_interval=SYNC)
    open_and_hold(fleet)
    began = time.monotonic()
    fleet[1].begin_traffic("pay", outcome="fail")
    before = fleet[1].view("pay")
    assert before["state"] == "half_open"
    lost = until(
        lambda: [e for e in fleet[1].seen(kind="StateChanged") if "lost" in e["reason"]], "the probe is lost"
    )
    assert time.monotonic() - began >= 0.6 - SYNC, "renewed while it might still answer"
    assert lost[0]["to_state"] == "State.OPEN" or lost[0]["to_state"] == "open"
    # What the hung call brings in the end changes nothing.
    fleet[1].traffic_report(stop=True)
    then = fleet[1].view("pay")
    assert then["streak"] > before["streak"]
    fleet[0].settle(key="pay", verdict="success")
    assert fleet[1].view("pay")["state"] != "closed"
    until(lambda: fleet[1].call("pay") == ["ok"], "a new probe is admitted")
    fleet.until_state("pay", "closed")


def test_what_a_suspended_holder_brings_after_its_lease_has_no_effect(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = f"{POLICY[:-1]}, permitted_calls_in_half_open=2)"
    fleet = workers(2, server.url, policy, sync_interval=SYNC)
    open_and_hold(fleet)
    holder, other = fleet
    holder.freeze()
    until(lambda: other.call("pay") == ["ok"], "another probe is admitted when the lease is over")
    assert other.view("pay")["state"] == "half_open", "one of two"
    holder.thaw()
    holder.settle(key="pay", verdict="failure")
    until(lambda: holder.health()["age"] < 0.3, "the holder talks to the store again")
    view = other.view("pay")
    assert view["state"] == "half_open", view
    until(lambda: other.call("pay") == ["ok"], "the second probe")
    fleet.until_state("pay", "closed")
    assert other.view("pay")["reason"] == "2 of 2 probes succeeded"
