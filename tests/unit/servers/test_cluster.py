"""A private cluster serves all slots; a wrong node, a moving slot and a lost node are told by it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from tests.servers.base import wait_until
from tests.servers.cluster import RedisCluster
from tests.servers.redis_server import RedisServer


def error_of(server: RedisServer, key: str) -> str:
    import redis

    with closing(server.client()) as client:
        try:
            client.get(key)
        except redis.exceptions.RedisError as error:
            return type(error).__name__
    return ""


@pytest.fixture
def client(redis_cluster: RedisCluster) -> Any:
    import redis

    with closing(redis.RedisCluster.from_url(redis_cluster.url)) as client:
        yield client


def test_every_node_serves_a_third(redis_cluster: RedisCluster, client: Any) -> None:
    keys = [f"key-{number}" for number in range(50)]
    for key in keys:
        client.set(key, key)
    assert {redis_cluster.node_of(key).port for key in keys} == {node.port for node in redis_cluster.nodes}
    wrong = redis_cluster.other(redis_cluster.node_of("key-0"))
    assert error_of(wrong, "key-0") == "MovedError"


def test_a_moving_slot_asks_and_a_moved_one_redirects(redis_cluster: RedisCluster, client: Any) -> None:
    client.set("{tag}a", "value")
    slot = redis_cluster.slot_of("{tag}a")
    source = redis_cluster.owner(slot)
    target = redis_cluster.other(source)
    redis_cluster.begin_move(slot, target)
    assert error_of(source, "{tag}a") == "AskError"
    assert client.get("{tag}a") == b"value"
    redis_cluster.end_move(slot, target)
    assert error_of(source, "{tag}a") == "MovedError"
    assert client.get("{tag}a") == b"value"
    redis_cluster.move_slot(slot, source)
    assert error_of(source, "{tag}a") == ""


def test_a_lost_node_takes_the_cluster_down_until_it_is_back(redis_cluster: RedisCluster) -> None:
    lost = redis_cluster.node_of("key")
    other = redis_cluster.other(lost)
    key = next(k for k in map(str, range(99)) if redis_cluster.node_of(k) is other)
    lost.freeze()
    wait_until(lambda: error_of(other, key) == "ClusterDownError", "CLUSTERDOWN")
    lost.thaw()
    redis_cluster.wait_until_ok()
    assert error_of(other, key) == ""
