"""A cluster that moves slots while circuits are shared through it, and one that loses a node."""

from __future__ import annotations

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
    for round_ in range(3):
        fleet.trip("pay")
        slot = redis_cluster.slot_of(keys.prefix(fleet.namespace) + "m")
        target = redis_cluster.other(redis_cluster.owner(slot))
        before = fleet[1].view("pay")
        if round_ == 2:
            redis_cluster.begin_move(slot, target)
            until(lambda: fleet[0].health()["age"] < 0.3, "-ASK is followed")
            redis_cluster.end_move(slot, target)
        else:
            redis_cluster.move_slot(slot, target)
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
        fleet = workers(2, cluster_url(cluster), POLICY, command_timeout=0.2)
        fleet.all("begin_traffic", name="mail")
        fleet.trip("pay")
        node = cluster.node_of(keys.prefix(fleet.namespace) + "m")
        node.kill()
        until(lambda: all(each["degraded"] for each in fleet.all("health")), "degraded")
        until(lambda: fleet[0].call("pay") == ["ok"], "every process decides for itself")
        until(lambda: fleet[1].call("pay") == ["ok"], "every process decides for itself")
        for report in fleet.all("traffic_report", stop=True):
            assert report["strange"] == []
            assert set(report["counts"]) == {"ok"}
            assert report["longest"] <= 0.6 + report["noise"]
        assert [len(told) for told in fleet.all("seen", kind="StoreDegraded")] == [1, 1]
