"""Replies that never arrive, and requests that arrive twice (faults 13 and 14)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cqrs.testing import ChaosProxy
from tests.integration.fleet import keys
from tests.integration.fleet.member import Member
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

LEASE = 1.0
POLICY = f"CircuitBreakerPolicy.consecutive(3, ttl=0.3, permit_lease={LEASE}, permitted_calls_in_half_open=3)"
RARELY = {"sync_interval": 30.0}  # what it sends is what it is told to do, and nothing else


@pytest.fixture
def pair(server: RedisServer, workers: Callable[..., Workers]) -> Iterator[tuple[Workers, ChaosProxy]]:
    """The first process is behind a proxy and silent on its own; the second is not."""
    with ChaosProxy(*server.address) as proxy:
        fleet = workers(1, server.url, POLICY)
        fleet.add(proxy.url("redis"), store=RARELY)
        fleet.trip("pay")
        until(lambda: fleet.all("state", name="pay") == ["half_open/probing"] * 2, "time to probe")
        yield fleet, proxy


def permit_of(member: Member, key: str) -> dict[str, object]:
    """What a probe is called in the store."""
    candidate = member.permits[key].grant
    return {"permit": candidate.permit, "seen": list(candidate.seen)}


def test_a_grant_whose_reply_is_lost_is_a_denial_and_ends_with_its_lease_at_the_latest(
    pair: tuple[Workers, ChaosProxy], server: RedisServer
) -> None:
    fleet, proxy = pair
    near, far = fleet
    with proxy.drop_replies():
        began = time.monotonic()
        until(
            lambda: far.hold("pay") == "rejected" and keys.permits(server, fleet.namespace, "pay"), "granted"
        )
        proxy.cut()
    assert until(lambda: near.call("pay") == ["ok"], "the permit is free again")
    assert time.monotonic() - began <= LEASE + 2.0
    until(lambda: keys.record(server, fleet.namespace, "pay")["ok"] == "1", "it counts")


def test_a_lost_grant_is_given_back_before_its_lease_when_the_store_is_there_again(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = POLICY.replace(f"permit_lease={LEASE}", "permit_lease=60")
    with ChaosProxy(*server.address) as proxy:
        fleet = workers(1, server.url, policy)
        near, far = fleet[0], fleet.add(proxy.url("redis"), store={"sync_interval": 0.5})
        fleet.trip("pay")
        until(lambda: far.state("pay") == "half_open/probing", "time to probe")
        with proxy.black_hole(direction="down"):
            until(
                lambda: far.hold("pay") == "rejected" and keys.permits(server, fleet.namespace, "pay"), "it"
            )
        assert until(lambda: near.call("pay") == ["ok"], "the permit was given back", 8)


def test_a_settlement_whose_reply_is_lost_is_sent_again_and_counts_once(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = POLICY.replace(f"permit_lease={LEASE}", "permit_lease=60")
    with ChaosProxy(*server.address) as proxy:
        fleet = workers(1, server.url, policy)
        far = fleet.add(proxy.url("redis"))
        fleet.trip("pay")
        until(lambda: far.hold("pay") == "probe", "it probes")
        with proxy.drop_replies():
            assert far.settle(key="pay", verdict="success")
            until(lambda: keys.record(server, fleet.namespace, "pay")["ok"] == "1", "it was counted")
        until(lambda: far.health()["age"] < 0.2, "it exchanges again")
        asked = server.script_calls()
        until(lambda: server.script_calls() > asked + 8, "more exchanges")
        found = keys.record(server, fleet.namespace, "pay")
        assert (found["ok"], found["st"], keys.permits(server, fleet.namespace, "pay")) == (
            "1",
            "half_open",
            [],
        )


def test_a_settlement_that_does_not_arrive_is_sent_again(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = POLICY.replace(f"permit_lease={LEASE}", "permit_lease=60")
    with ChaosProxy(*server.address) as proxy:
        fleet = workers(1, server.url, policy)
        far = fleet.add(proxy.url("redis"))
        fleet.trip("pay")
        until(lambda: far.hold("pay") == "probe", "it probes")
        with proxy.black_hole():
            assert far.settle(key="pay", verdict="success")
            until(lambda: far.health()["degraded"], "lost")
            assert keys.record(server, fleet.namespace, "pay")["ok"] == "0"
        until(lambda: keys.record(server, fleet.namespace, "pay")["ok"] == "1", "it was counted")


def test_a_settlement_that_is_played_again_changes_nothing(
    pair: tuple[Workers, ChaosProxy], server: RedisServer
) -> None:
    fleet, _ = pair
    near = fleet[0]
    until(lambda: near.hold("pay") == "probe", "it probes")
    known = near.do(permit_of, key="pay")
    replay = {
        "op": "settle",
        "id": "pay",
        "name": "pay",
        "rnd": 0.5,
        "verdict": "success",
        "slow": 0,
        "trip": 0,
        "trip_us": -1,
        **known,
    }
    near.settle(key="pay", verdict="success")
    until(lambda: keys.record(server, fleet.namespace, "pay")["ok"] == "1", "it was counted")
    before = keys.record(server, fleet.namespace, "pay")
    for verdict in ("success", "failure", "cancelled"):
        (result,) = keys.exchange(server, fleet.namespace, replay | {"verdict": verdict})["results"]
        assert result.get("applied") == 0, result
    assert keys.record(server, fleet.namespace, "pay") == before
    # In a later half-open state, an old permit is as good as none.
    until(lambda: near.hold("pay") == "probe", "the second, which decides")
    near.settle(key="pay", verdict="success")
    fleet.until_state("pay", "closed")
    fleet.trip("pay")
    until(lambda: near.hold("pay") == "probe", "it probes")
    (result,) = keys.exchange(server, fleet.namespace, replay)["results"]
    assert result.get("applied") == 0
    assert keys.record(server, fleet.namespace, "pay")["ok"] == "0"
