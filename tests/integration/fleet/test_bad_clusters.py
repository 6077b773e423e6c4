"""A cluster that moves slots while circuits are shared through it, and one that loses a node."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.integration.fleet import keys
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.cluster import RedisCluster

POLICY = "CircuitBreakerPolicy.consecutive(3, ttl=0.5, permit_lease=0.5)"


def cluster_url(cluster: RedisCluster) -> str:
    return "redis+cluster://" + ",".join(f"{node.host}:{node.port}" for node in cluster.nodes)


def test_a_slot_that_moves_takes_its_circuits_along(
    redis_cluster: RedisCluster, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, cluster_url(redis_cluster), POLICY, command_timeout=0.2)
    fleet.all("begin_traffic", name="mail")
    for _ in range(2):
        fleet.trip("pay")
        slot = redis_cluster.slot_of(keys.prefix(fleet.namespace) + "m")
        before = fleet[1].view("pay")
        for worker in fleet:  # a request between the steps of a move would be told to -ASK, and begin anew
            worker.freeze()
        redis_cluster.move_slot(slot, redis_cluster.other(redis_cluster.owner(slot)))
        for worker in fleet:
            worker.thaw()
        until(lambda: fleet[1].call("pay") == ["ok"], "the probe")
        fleet.until_state("pay", "closed")
        after = fleet[1].view("pay")
        assert after["incarnation"] == before["incarnation"]
        assert after["epoch"] == before["epoch"] + 2
    for report in fleet.all("traffic_report", stop=True):
        assert report["strange"] == []
        assert set(report["counts"]) == {"ok"}


def test_a_cluster_that_loses_the_node_harms_no_call(workers: Callable[..., Workers]) -> None:
    from tests.servers.plugin import skip_without_server

    skip_without_server()
    with RedisCluster() as cluster:
        fleet = workers(2, cluster_url(cluster), POLICY, command_timeout=0.2, sync_interval=0.3)
        fleet.all("begin_traffic", name="mail")
        fleet.trip("pay")
        node = cluster.node_of(keys.prefix(fleet.namespace) + "m")
        node.kill()
        killed = time.monotonic()
        until(lambda: all(each["degraded"] for each in fleet.all("health")), "degraded")
        until(lambda: fleet[0].call("pay") == ["ok"], "every process decides for itself")
        until(lambda: fleet[1].call("pay") == ["ok"], "every process decides for itself")
        for report in fleet.all("traffic_report", stop=True):
            assert report["strange"] == []
            assert set(report["counts"]) == {"ok"}
            assert report["longest"] <= 0.6 + report["noise"]
        for told in fleet.all("seen", kind="StoreDegraded"):
            assert len([each for each in told if each["at"] > killed]) == 1
