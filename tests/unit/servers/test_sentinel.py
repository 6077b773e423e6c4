"""Sentinels name the master, and another one when it is gone."""

from __future__ import annotations

from contextlib import closing

from tests.servers.plugin import skip_without_server
from tests.servers.sentinel import SentinelSet


def test_a_killed_master_is_replaced_by_its_replica(redis_sentinels: SentinelSet) -> None:
    import redis

    first, second = redis_sentinels.master, redis_sentinels.replica
    with closing(first.client()) as client:
        client.set("key", "value")
    second.wait_until_in_step(first)
    first.kill()
    redis_sentinels.wait_for_new_master(first)
    assert redis_sentinels.master is second
    watchers = redis.Sentinel(redis_sentinels.addresses)
    assert watchers.discover_master(redis_sentinels.name) == second.address
    for watcher in watchers.sentinels:
        watcher.close()
    with closing(second.client()) as client:
        assert client.get("key") == b"value"
        assert client.set("key", "new value")


def test_one_sentinel_replaces_a_working_master_on_demand() -> None:
    skip_without_server()
    with SentinelSet(1) as sentinels:
        before = sentinels.master
        sentinels.failover()
        assert sentinels.replica is before
