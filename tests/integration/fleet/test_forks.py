"""Processes that fork after the store's first use (fault 6)."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.integration.fleet import forking
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

POLICY = "CircuitBreakerPolicy.consecutive(3, ttl=30, permit_lease=30)"


def test_a_forked_child_is_a_member_of_its_own_that_learns_of_openings(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, POLICY)
    assert fleet[0].call("pay") == ["ok"]
    answer = fleet[0].begin(forking.fork_and_describe, name="pay", wanted="open")
    until(lambda: fleet[1].health()["living"] == 3, "the child is counted")
    fleet[1].call("pay", outcome="fail", times=3)
    parent, child = answer.result()
    assert parent["state"] == "closed"
    assert child["reached"], "the child did not learn of the opening"
    assert child["first"] == "rejected"
    assert child["answered"]
    assert not child["degraded"]
    assert child["node"] != parent["node"]
    assert not set(child["sockets"]) & set(parent["sockets"]), "a socket is shared"
    assert child["living"] == 3
    fleet.until_state("pay", "open")  # the parent's connections still work
    assert not any(fleet.all("seen", kind="StoreDegraded"))


def test_the_child_of_a_child_is_a_member_too(server: RedisServer, workers: Callable[..., Workers]) -> None:
    fleet = workers(2, server.url, POLICY)
    answer = fleet[0].begin(forking.fork_and_describe, name="pay", wanted="open", depth=2)
    until(lambda: fleet[1].health()["living"] == 4, "the children are counted")
    fleet[1].call("pay", outcome="fail", times=3)
    parent, child, grandchild = answer.result()
    assert grandchild["reached"]
    assert len({parent["node"], child["node"], grandchild["node"]}) == 3


@pytest.mark.parametrize("used", [False, True], ids=["before first use", "after first use"])
def test_workers_that_a_preloading_server_forks_are_members(
    server: RedisServer, workers: Callable[..., Workers], used: bool
) -> None:
    fleet = workers(2, server.url, POLICY)
    loader = fleet.add(start=False)
    if used:
        assert loader.call("pay") == ["ok"]
    answer = loader.begin(forking.preload, name="pay", wanted="open", children=3)
    if used:  # else the children begin with their first call, and that one must be rejected
        until(lambda: fleet[1].health()["living"] == 6, "the children are counted")
    fleet[1].call("pay", outcome="fail", times=3)
    children = answer.result()
    assert [child["reached"] for child in children] == [True] * 3
    assert [child["first"] for child in children] == ["rejected"] * 3
    assert len({child["node"] for child in children} | {loader.health()["node"]}) == 4


def test_a_child_knows_at_once_what_its_parent_knew(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, POLICY)
    fleet.trip("pay")
    _, child = fleet[1].do(forking.fork_and_describe, name="pay", wanted="open")
    assert child["first"] == "rejected"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_are_members(
    server: RedisServer, workers: Callable[..., Workers], method: str
) -> None:
    fleet = workers(2, server.url, POLICY)
    fleet.trip("pay")
    told = fleet[1].do(forking.with_multiprocessing, name="pay", method=method, url=server.url, policy=POLICY)
    assert told["exit"] == 0
    assert told["first"] == "rejected"
    assert told["node"] not in [health["node"] for health in fleet.all("health")]


def test_forks_in_the_middle_of_calls_disturb_neither_parent_nor_children(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(1, server.url, POLICY, sync_interval=0.5)  # the threads take the processor from it
    results = fleet[0].do(forking.fork_in_a_storm, name="pay", forks=12)
    assert results == [["ok"] * 6] * 12
    until(lambda: fleet[0].health()["age"] < 1.0, "the parent still exchanges")
    assert fleet[0].seen(kind="StoreDegraded") == []


@pytest.mark.parametrize("how", ["settle", "drop", "close"])
def test_what_a_child_does_with_its_copy_of_a_permit_leaves_the_parents_probe_alone(
    server: RedisServer, workers: Callable[..., Workers], how: str
) -> None:
    fleet = workers(2, server.url, "CircuitBreakerPolicy.consecutive(3, ttl=0.2, permit_lease=30)")
    fleet.trip("pay")
    until(lambda: fleet[0].hold("pay") == "probe", "it probes")
    epoch = fleet[1].view("pay")["epoch"]
    assert fleet[0].do(forking.end_a_probe_in_a_child, key="pay", how=how)
    assert fleet[1].view("pay")["epoch"] == epoch, "decided by a copy of the call"
    assert fleet[1].hold("pay") == "rejected", "the permit was given back while the call runs"
    assert fleet[0].settle(key="pay", verdict="success")
    fleet.until_state("pay", "closed")
