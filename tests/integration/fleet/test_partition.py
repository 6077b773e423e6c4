"""Half of the fleet cannot reach the store (fault 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cqrs.testing import ChaosProxy
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

POLICY = "CircuitBreakerPolicy.consecutive(3, ttl=1.0, permit_lease=1)"
LONG = {"mail": "CircuitBreakerPolicy.consecutive(3, ttl=60)"}

Parted = tuple[Workers, list[ChaosProxy]]


@pytest.fixture
def parted(server: RedisServer, workers: Callable[..., Workers]) -> Iterator[Parted]:
    """Four processes, each behind a proxy of its own; the last two are to be cut off."""
    with ExitStack() as stack:
        proxies = [stack.enter_context(ChaosProxy(*server.address)) for _ in range(4)]
        urls = [proxy.url("redis") for proxy in proxies]
        yield workers(4, urls, POLICY, policies=LONG, sync_interval=0.2, command_timeout=0.1), proxies[2:]


def part(fleet: Workers, proxies: list[ChaosProxy]) -> None:
    for proxy in proxies:
        proxy.black_hole()
    until(lambda: all(each.health()["degraded"] for each in fleet[2:]), "the far half knows")


def heal(fleet: Workers, proxies: list[ChaosProxy]) -> None:
    for proxy in proxies:
        proxy.heal()
    until(lambda: all(not each["degraded"] for each in fleet.all("health")), "one fleet")


def test_each_half_decides_for_itself_and_they_agree_when_it_is_over(parted: Parted) -> None:
    fleet, proxies = parted
    near, far = fleet[:2], fleet[2:]
    fleet.all("begin_traffic", name="well")
    part(fleet, proxies)
    near[0].call("mail", outcome="fail", times=3)
    until(lambda: near[1].state("mail") == "open", "the near half opens together")
    assert [each.call("mail") for each in far] == [["ok"]] * 2, "the far half knows nothing of it"
    far[0].call("pay", outcome="fail", times=3)
    assert far[0].call("pay") == ["rejected"], "a process protects itself without a store"
    assert [each.call("pay") for each in near] == [["ok"]] * 2
    heal(fleet, proxies)
    fleet.until_state("mail", "open", limit=3)
    # What the far half counted in the meantime may count now; a probe ends that in any case.
    until(lambda: fleet.all("call", name="pay") == [["ok"]] * 4, "closed for all")
    for report in fleet.all("traffic_report", stop=True):
        assert report["strange"] == []
        assert set(report["counts"]) == {"ok"}
    for worker in far:
        kinds = [each["kind"] for each in worker.seen() if each["kind"].startswith("Store")]
        assert kinds == ["StoreDegraded", "StoreRecovered"] * (len(kinds) // 2)
        assert kinds


def vanish(proxy: ChaosProxy) -> None:
    proxy.black_hole()


def go_down(proxy: ChaosProxy) -> None:
    proxy.refuse()
    proxy.cut()


@pytest.mark.parametrize("fault", [vanish, go_down])
def test_after_a_long_outage_all_are_back_as_soon_as_after_a_short_one(
    server: RedisServer, workers: Callable[..., Workers], fault: Callable[[ChaosProxy], object]
) -> None:
    interval, connecting = 0.5, 0.3
    with ExitStack() as stack:
        proxies = [stack.enter_context(ChaosProxy(*server.address)) for _ in range(6)]
        urls = [proxy.url("redis") for proxy in proxies]
        fleet = workers(6, urls, POLICY, policies=LONG, sync_interval=interval, connect_timeout=connecting)
        near, far = fleet[0], fleet[1:]
        for proxy in proxies[1:]:
            fault(proxy)
        until(lambda: all(each.health()["age"] > 12 * interval for each in far), "a long outage")
        near.call("mail", outcome="fail", times=3)
        until(lambda: near.machine("mail")["fleet"] == "open", "published, to nobody else")
        for proxy in proxies:
            proxy.heal()
        # An attempt that is under way, a wait of less than an interval, an exchange; and a busy machine.
        limit = connecting + interval + 1.0
        until(lambda: all(each.state("mail") == "open" for each in far), "all are back", limit)
        assert not any(each.health()["degraded"] for each in far)


def test_an_open_circuit_stays_open_on_both_sides_and_each_side_probes_within_bounds(parted: Parted) -> None:
    fleet, proxies = parted
    near, far = fleet[:2], fleet[2:]
    fleet.trip("mail")
    fleet.trip("pay")
    for proxy in proxies:
        proxy.black_hole()
    assert fleet.all("call", name="mail") == [["rejected"]] * 4
    until(lambda: all(each.health()["degraded"] for each in far), "the far half knows")
    # The wait is honoured, plus a random part of it; then each lost process probes by itself, one at a time.
    for worker in far:
        until(lambda: worker.hold("pay") == "probe", "it probes")  # noqa: B023
        assert worker.hold("pay", key="second") == "rejected"
    until(lambda: any(each.hold("pay") == "probe" for each in near), "the near half probes once")
    for worker in far:
        worker.settle(key="pay", verdict="success")
        assert worker.state("pay") == "closed"
    assert fleet.all("call", name="mail") == [["rejected"]] * 4
    heal(fleet, proxies)
    fleet.until_state("mail", "open")


def test_a_cut_off_process_obeys_the_overrides_that_it_knew(parted: Parted) -> None:
    fleet, proxies = parted
    far = fleet[2:]
    fleet[0].override("pay", mode="forced_open")
    fleet[0].override("ship", mode="forced_open", ttl=1.5)
    fleet.until_state("pay", "forced_open")
    fleet.until_state("ship", "forced_open")
    part(fleet, proxies)
    assert [each.call("pay") for each in far] == [["rejected"]] * 2
    until(lambda: all(each.call("ship") == ["ok"] for each in far), "the other override ends in time")
    fleet[0].clear_override("pay")
    until(lambda: fleet[1].call("pay") == ["ok"], "cleared for the near half")
    assert [each.call("pay") for each in far] == [["rejected"]] * 2, "the far half cannot know"
    heal(fleet, proxies)
    until(lambda: fleet.all("call", name="pay") == [["ok"]] * 4, "cleared for all", 3)
