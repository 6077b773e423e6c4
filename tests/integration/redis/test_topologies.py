"""Clusters and sentinels."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
import valkey.asyncio.cluster

from tests.integration.redis.support import RULES
from tests.integration.redis.transports import Link, link, operation, override, request


def until_answered(store: Link, shard: int = 0) -> dict[str, Any]:
    """Ask until there is an answer: while a topology changes, requests may fail."""
    for _ in range(200):
        answer = store.submit(request(operation("view")), shard=shard)
        if answer.exception(20) is None:
            return answer.result()
    raise AssertionError(str(answer.exception()))


def cluster_url(cluster: Any) -> str:
    return "redis+cluster://" + ",".join(f"{node.host}:{node.port}" for node in cluster.nodes)


def test_all_keys_of_a_shard_are_in_one_slot(redis_cluster: Any) -> None:
    with link(cluster_url(redis_cluster), shards=12) as store:
        for shard in range(12):
            opened = store.submit(request(failing(), rules=[HASTY]), shard=shard).result(20)
            view = opened["results"][0]["view"]
            assert view["st"] == "open"
            seen = [view["inc"], view["ep"]]
            for op in (
                operation("acquire", permit="p1"),
                operation("renew", permit="p1", seen=seen),
                operation("view", "mail"),
                operation("report", "mail", **(FIGURES | {"f": 1})),
                override(circuit="mail"),
                operation("reset", "mail"),
            ):
                result = store.submit(request(op, rules=[HASTY]), shard=shard).result(20)["results"][0]
                assert "err" not in result
        keys = [key for node in redis_cluster.nodes for key in node.admin.keys("*")]
        prefixes = {store.settings.prefix(shard).encode() for shard in range(12)}
        ours = {key for key in keys if key.rpartition(b"}:")[0] + b"}:" in prefixes}
        kinds = {key.rpartition(b"}:")[2] for key in ours}
        assert kinds >= {b"m", b"n", b"log", b"audit", b"s:pay", b"p:pay", b"s:mail"}
        assert len({redis_cluster.slot_of(key) for key in ours}) == 12
        assert len({id(redis_cluster.node_of(key)) for key in ours}) == 3  # the shards are spread


FIGURES = {"t": 1, "f": 0, "s": 0, "d": 0, "o": 0, "trip": 0, "trip_us": -1} | dict.fromkeys("nhklz", 0)
HASTY = RULES | {"min": 1, "row": 1, "quorum": 0.0, "base_us": 1, "max_us": 1, "jit": 0.0}


def failing() -> dict[str, Any]:
    return operation("report", **(FIGURES | {"f": 1, "o": 1}))


CLUSTER_CLIENTS: dict[str, Callable[[str, int], Any]] = {
    "sync": lambda host, port: redis.cluster.RedisCluster(host=host, port=port),
    "asyncio": lambda host, port: redis.asyncio.cluster.RedisCluster(host=host, port=port),
    "valkey": lambda host, port: valkey.asyncio.cluster.ValkeyCluster(host=host, port=port),
    "factory": lambda host, port: lambda: redis.asyncio.cluster.RedisCluster(host=host, port=port),
}


@pytest.mark.parametrize("kind", CLUSTER_CLIENTS)
def test_a_cluster_client_of_the_application(redis_cluster: Any, kind: str) -> None:
    node = redis_cluster.nodes[0]
    client = CLUSTER_CLIENTS[kind](node.host, node.port)
    try:
        with link(client, shards=3, push=True) as store:
            assert {until_answered(store, shard)["live"] for shard in range(3)} == {1}
            while not store.ticker.messages:
                store.submit(request(override()), shard=1).result(20)
            assert store.ticker.connections >= 1
    finally:
        if kind == "sync":
            client.close()


def test_changes_are_heard_at_every_node_of_a_cluster(redis_cluster: Any) -> None:
    with link(cluster_url(redis_cluster), shards=9, push=True) as store:
        for shard in range(9):
            heard = len(store.ticker.messages)
            while len(store.ticker.messages) == heard:
                store.submit(request(override(circuit=f"c{shard}")), shard=shard).result(20)


def test_a_slot_that_moves_is_followed(redis_cluster: Any) -> None:
    with link(cluster_url(redis_cluster)) as store:
        before = store.ask(override())
        slot = redis_cluster.slot_of(store.settings.prefix(0))
        source = redis_cluster.owner(slot)
        target = redis_cluster.other(source)
        redis_cluster.move_slot(slot, target)
        try:
            after = store.ask(operation("view"))
            assert after["inc"] == before["inc"]
            assert after["results"][0]["view"]["ov"] == "forced_open"
        finally:
            redis_cluster.move_slot(slot, source)


def sentinel_url(sentinels: Any) -> str:
    hosts = ",".join(f"{host}:{port}" for host, port in sentinels.addresses)
    return f"redis+sentinel://{hosts}/{sentinels.name}"


def test_a_failover_is_followed_and_told(redis_sentinels: Any) -> None:
    with link(sentinel_url(redis_sentinels), push=True) as store:
        store.ask(override())
        while not store.ticker.messages:
            store.ask(override())
        old = redis_sentinels.master
        redis_sentinels.replica.wait_until_in_step(old)
        known = store.ticker.connections
        old.kill()
        redis_sentinels.wait_for_new_master(old)
        view = until_answered(store)["results"][0]["view"]
        assert view["ov"] == "forced_open"
        assert store.ticker.connections > known
        heard = len(store.ticker.messages)
        while len(store.ticker.messages) == heard:
            store.ask(override())


def test_sentinel_clients_of_the_application(redis_sentinels: Any) -> None:
    for module in ("redis.sentinel", "redis.asyncio.sentinel", "valkey.sentinel", "valkey.asyncio.sentinel"):
        manager = importlib.import_module(module).Sentinel(list(redis_sentinels.addresses))
        with link(manager.master_for(redis_sentinels.name)) as store:
            assert store.ask()["live"] == 1


def test_sentinels_that_cannot_be_reached(redis_server: Any) -> None:
    with link(f"redis+sentinel://{redis_server.host}:1,{redis_server.host}:2/main") as store:
        assert "main" in store.fails()
