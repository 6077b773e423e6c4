"""Everybody comes at once: the moment an open circuit may be probed (fault 15)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.integration.fleet import keys, probing
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

PROCESSES = 20
WAIT = 1.0
REPETITIONS = int(os.environ.get("HOLDFAST_TEST_REPETITIONS", "2"))


@pytest.mark.parametrize(
    ("permitted", "at_once", "repetition"),
    [(3, 1, each) for each in range(REPETITIONS)] + [(6, 2, each) for each in range(REPETITIONS - 1)],
)
def test_of_10_000_callers_in_20_processes_as_many_probe_as_the_policy_permits(
    server: RedisServer, workers: Callable[..., Workers], permitted: int, at_once: int, repetition: int
) -> None:
    policy = (
        f"CircuitBreakerPolicy.consecutive(3, ttl={WAIT}, permitted_calls_in_half_open={permitted},"
        f" max_concurrent_probes={at_once}, permit_lease=10)"
    )
    # Nobody may take a busy machine for a lost server, and probe alone: that would need half a minute.
    fleet = workers(PROCESSES, server.url, policy, sync_interval=10.0, command_timeout=1.0)
    fleet.trip("pay")
    asked = server.script_calls()
    began = time.monotonic()
    answers = [
        worker.begin(probing.rush, name="pay", callers=490, threads=10, lasts=0.05, seconds=15)
        for worker in fleet
    ]
    told = [answer.result(30) for answer in answers]
    took = time.monotonic() - began
    asked = server.script_calls() - asked
    assert not any(fleet.all("seen", kind="StoreDegraded"))
    assert [each["strange"] for each in told] == [[]] * PROCESSES
    assert all(each["closed"] for each in told)
    probes = [tuple(interval) for each in told for interval in each["probes"]]
    # Of the last ones, one less may be needed: two successes of three decide.
    assert permitted // 2 < len(probes) <= permitted
    assert probing.most_at_once(probes) <= at_once
    assert sum(each["rejected"] for each in told) > 1000
    # F1: per process at most 20 requests for a probe and 2 exchanges a second, and what recovery itself says.
    assert asked <= PROCESSES * (24 * took + 10)


def test_a_half_open_circuit_costs_the_server_little_while_a_probe_runs(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = "CircuitBreakerPolicy.consecutive(3, ttl=0.2, permit_lease=60, max_probe_duration=90)"
    fleet = workers(8, server.url, policy, sync_interval=0.5)
    fleet.trip("pay")
    until(lambda: fleet[0].hold("pay") == "probe", "it probes")
    others = fleet[1:]
    for other in others:
        other.begin_traffic("pay", threads=2)

    def rejected() -> int:
        return sum(other.traffic_report()["counts"].get("rejected", 0) for other in others)

    until(lambda: rejected() > 100, "traffic")
    calls, asked, began = rejected(), server.script_calls(), time.monotonic()
    until(lambda: rejected() > calls + 3000, "traffic")
    took = time.monotonic() - began
    # Whoever was denied knows that the lease lasts: exchanges every 0.45 s, and hardly anything else.
    assert server.script_calls() - asked <= len(fleet) * (took / 0.45 + 3)
    assert len(keys.permits(server, fleet.namespace, "pay")) == 1
