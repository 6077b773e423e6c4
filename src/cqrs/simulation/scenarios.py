"""Scenarios to begin with; each is a function so that its figures can be changed."""

from __future__ import annotations

from collections.abc import Callable

from cqrs.simulation.scenario import Capacity, NodeFault, Phase, ResponseTime, Scenario

REFUSED = ResponseTime(0.005, p99=0.02)
"""A connection that is refused: quick."""


def healthy() -> Scenario:
    """Return two minutes with 1 % errors: no circuit should open."""
    return Scenario([Phase("healthy", 120.0, error_rate=0.01)], name="healthy")


def outage(seconds: float = 40.0) -> Scenario:
    """Return a dependency that refuses every call for ``seconds`` and is then as before."""
    return Scenario(
        [
            Phase("healthy", 30.0),
            Phase("outage", seconds, REFUSED, error_rate=1.0, healthy=False),
            Phase("healthy again", 70.0),
        ],
        name="outage",
    )


def brown_out(seconds: float = 50.0) -> Scenario:
    """Return a dependency that answers, but so slowly that every caller goes away first.

    All calls end in a cancellation, none in an error: only a policy that times calls can notice.
    """
    return Scenario(
        [
            Phase("healthy", 30.0),
            Phase("brown-out", seconds, ResponseTime(6.0, p99=12.0), healthy=False),
            Phase("healthy again", 60.0),
        ],
        name="brown-out",
        timeout=None,
        deadline=2.0,
    )


def flapping(seconds: float = 10.0) -> Scenario:
    """Return a dependency that goes down and comes back five times, each ``seconds`` long."""
    pair = [Phase("up", seconds), Phase("down", seconds, REFUSED, error_rate=1.0, healthy=False)]
    return Scenario([*pair * 5, Phase("up for good", 60.0)], name="flapping")


def low_traffic() -> Scenario:
    """Return an outage of two minutes where each process makes one call every five seconds."""
    return Scenario(
        [
            Phase("healthy", 60.0),
            Phase("outage", 120.0, REFUSED, error_rate=1.0, healthy=False),
            Phase("healthy again", 120.0),
        ],
        name="low-traffic",
        calls_per_second=0.2,
    )


def poison_node(share: float = 0.01) -> Scenario:
    """Return one broken process of a hundred (at least one); the dependency is well for all others."""
    return Scenario(
        [
            Phase("healthy", 30.0, error_rate=0.01),
            Phase("poison node", 60.0, error_rate=0.01, node_fault=NodeFault(share)),
            Phase("healthy again", 60.0, error_rate=0.01),
        ],
        name="poison-node",
    )


def cold_recovery(overload: float = 3.0) -> Scenario:
    """Return an outage after which the dependency comes back cold.

    At first it is asked for ``overload`` times as much as it can do; it warms up with the answers that it
    gives in time, and then has capacity to spare. All traffic at once fills the queue with calls that nobody
    waits for any more: no answers in time, hence no warmth, a metastable failure.
    """
    warm = Capacity(3.0)
    cold = Capacity(3.0, cold=2.0 / overload, warm_up_calls=14.0, cool_down=60.0)
    return Scenario(
        [
            Phase("healthy", 30.0, capacity=warm),
            Phase("outage", 40.0, REFUSED, error_rate=1.0, healthy=False),
            Phase("recovery from cold", 170.0, capacity=cold),
        ],
        name="cold-recovery",
    )


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "healthy": healthy,
    "outage": outage,
    "brown-out": brown_out,
    "flapping": flapping,
    "low-traffic": low_traffic,
    "poison-node": poison_node,
    "cold-recovery": cold_recovery,
}
"""The functions above by the names that the command line knows."""
