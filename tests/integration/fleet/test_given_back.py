"""Probes that are cancelled, abandoned, or whose process ends (faults 2 and 5): others need not wait."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from cqrs.testing import ChaosProxy
from tests.integration.fleet import cancelled
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

# With such a lease, whoever gets a permit within seconds got one that was given back.
POLICY = "CircuitBreakerPolicy.consecutive(3, ttl=0.2, permit_lease=60, max_probe_duration=90)"
SOON = 4.0


@pytest.fixture
def pair(server: RedisServer, workers: Callable[..., Workers]) -> Workers:
    """Two processes; the circuit "pay" is half-open for both, and nobody probes."""
    fleet = workers(2, server.url, POLICY)
    fleet.trip("pay")
    until(lambda: fleet.all("state", name="pay") == ["half_open/probing"] * 2, "time to probe")
    return fleet


@pytest.mark.parametrize("way", sorted(cancelled.WAYS))
def test_a_cancelled_probe_gives_its_permit_back_at_once_and_changes_nothing(pair: Workers, way: str) -> None:
    epoch = until(lambda: _cancelled(pair, way), "the probe is admitted")
    assert until(lambda: pair[1].call("pay") == ["ok"], "the next call of another process probes", SOON)
    pair.until_state("pay", "closed")
    assert pair[1].view("pay")["epoch"] == epoch + 1, "closed by that probe; nothing happened before"


def _cancelled(pair: Workers, way: str) -> int:
    told = pair[0].do(cancelled.cancel_a_probe, name="pay", way=way)
    if not told["begun"]:
        return 0
    assert told["state"] == "half_open"
    return int(pair[0].view("pay")["epoch"])


@pytest.mark.parametrize("way", sorted(cancelled.WAYS))
def test_after_a_cancelled_probe_the_same_process_probes_again(pair: Workers, way: str) -> None:
    until(lambda: _cancelled(pair, way), "the probe is admitted")
    assert until(lambda: pair[0].call("pay", kind="async") == ["ok"], "its next call probes", SOON)


def test_a_permit_that_is_granted_to_a_caller_who_has_gone_is_given_back(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    with ChaosProxy(*server.address) as proxy:
        fleet = workers(2, [proxy.url("redis"), server.url], POLICY, command_timeout=1.0)
        fleet.trip("pay")
        until(lambda: fleet[1].state("pay") == "half_open/probing", "time to probe")
        with proxy.latency(0.1):
            outcome = until(
                lambda: _if_not_rejected(fleet[0].do(cancelled.cancel_while_asking, name="pay", after=0.1)),
                "it asks",
            )
            assert outcome == "cancelled"
            assert until(lambda: fleet[1].call("pay") == ["ok"], "the other probes", SOON)


def _if_not_rejected(outcome: str) -> str | None:
    return None if outcome.startswith("rejected") else outcome


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("cycle", [False, True], ids=["dropped", "collected"])
def test_an_abandoned_stream_settles_its_probe(pair: Workers, kind: str, cycle: bool) -> None:
    until(lambda: _begun(pair, kind), "the stream is the probe")
    assert pair[1].call("pay") == ["rejected"]
    pair[0].do(cancelled.abandon_stream, cycle=cycle)
    pair.until_state("pay", "closed", limit=SOON)  # it had an item: a success


def _begun(pair: Workers, kind: str) -> bool:
    return bool(pair[0].do(cancelled.begin_stream, name="pay", kind=kind))


@pytest.mark.parametrize("kind", ["sync", "async", "in hand", "without a store"])
def test_a_process_that_ends_gives_its_permit_back_quietly(pair: Workers, kind: str) -> None:
    if kind in ("sync", "async"):
        until(lambda: _begun(pair, kind), "the stream is the probe")
    else:
        until(lambda: pair[0].hold("pay") == "probe", "it probes")
    if kind == "without a store":
        pair[0].do(cancelled.let_go_of_the_store)
    assert pair[0].end() < 3.0
    assert pair[0].stderr() == ""
    assert until(lambda: pair[1].call("pay") == ["ok"], "the other probes", SOON)


def test_a_server_that_hangs_does_not_delay_the_end_of_a_process(pair: Workers, server: RedisServer) -> None:
    until(lambda: pair[0].hold("pay") == "probe", "it probes")
    with server.frozen():
        assert pair[0].end() < 3.0
    assert pair[0].stderr() == ""


def test_closing_gives_permits_back_and_the_store_can_be_started_again(pair: Workers) -> None:
    until(lambda: pair[0].hold("pay") == "probe", "it probes")
    began = time.monotonic()
    pair[0].close()
    assert time.monotonic() - began < 2.0
    assert until(lambda: pair[1].call("pay") == ["ok"], "the other probes", SOON)
    assert pair[0].start() is True
    until(lambda: pair[0].state("pay") == "closed", "it is back in the fleet")
    assert pair[0].settle(key="pay", verdict="failure") in (True, False)
    assert pair[1].view("pay")["state"] == "closed"
