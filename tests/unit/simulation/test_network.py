"""The way to the store: latency, queue, outages."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cqrs.circuit_breaker.errors import StoreUnavailableError
from cqrs.circuit_breaker.fleet.session import Session
from cqrs.simulation.agenda import Agenda, VirtualClock
from cqrs.simulation.network import Link, VirtualStore
from cqrs.simulation.store import SharedStore


class Net:
    """Some processes connected to one store, without any calls."""

    def __init__(self, processes: int = 1, **fields: Any) -> None:
        self.clock = VirtualClock()
        self.agenda = Agenda(self.clock)
        self.shared = SharedStore(**({"latency": 0.01, "jitter": 0.0} | fields))
        self.store = VirtualStore(self.shared, self.agenda, 100.0, 1)
        self.links = [
            Link(self.store, Session(self.shared.settings, self.clock, lambda: 0.5)) for _ in range(processes)
        ]
        self.answers: list[tuple[float, bool]] = []

    def ask(self, link: int = 0, timeout: float = 0.25) -> None:
        request = {"node": f"n{link}", "inc": "x", "beat": 1, "stale_us": 3_000_000, "seen": ["", 0]}

        def done(reply: Any, error: Exception | None) -> None:
            assert (reply is None) is isinstance(error, StoreUnavailableError)
            self.answers.append((self.clock(), reply is not None))

        self.links[link].submit(0, request, timeout, done)


def test_an_answer_takes_a_round_trip() -> None:
    net = Net()
    net.ask()
    net.agenda.run(math.inf)
    assert net.answers == [(pytest.approx(0.01), True)]
    assert net.store.commands[0] == 1


def test_jitter_comes_on_top() -> None:
    net = Net(jitter=0.5)
    trips = [2 * net.store.one_way() for _ in range(2000)]
    assert min(trips) >= 0.01
    assert sum(trips) / len(trips) == pytest.approx(0.015, rel=0.05)


def test_a_busy_store_answers_one_after_the_other() -> None:
    net = Net(3, service_time=0.1)
    for link in range(3):
        net.ask(link)
    net.agenda.run(math.inf)
    assert net.answers == [
        (pytest.approx(0.11), True),
        (pytest.approx(0.21), True),
        (pytest.approx(0.25), False),  # the third waits for its timeout
    ]
    assert net.store.unanswered == 1


def test_what_is_answered_too_late_takes_effect_all_the_same() -> None:
    net = Net(latency=0.4)
    net.ask()
    net.agenda.run(math.inf)
    assert net.answers == [(0.25, False)]
    assert "n0" in net.store.coordinator.nodes


@pytest.mark.parametrize(
    ("outage", "arrives"),
    [((0.0, 1.0), False), ((0.004, 0.006), False), ((0.008, 1.0), True)],  # there and back: 5 ms each
)
def test_in_an_outage_nothing_is_answered(outage: tuple[float, float], arrives: bool) -> None:
    net = Net(outages=[outage])
    net.ask()
    net.agenda.run(math.inf)
    assert net.answers == [(0.25, False)]
    assert ("n0" in net.store.coordinator.nodes) is arrives


def test_a_store_that_forgets_comes_back_empty() -> None:
    net = Net(outages=[(5.0, 6.0)], forgets=True)
    net.ask()
    net.agenda.run(5.5)
    assert net.store.coordinator.inc
    net.agenda.run(6.5)
    assert not net.store.coordinator.inc


def test_a_process_meets_the_store_without_a_command_unless_it_is_down() -> None:
    met, alone = Net(), Net(outages=[(0.0, 1.0)])
    for net in (met, alone):
        session = net.links[0].session
        session.transport = net.links[0]
        net.links[0].meet()
    assert met.links[0].session.heard.is_set()
    assert not alone.links[0].session.heard.is_set()
    assert met.store.commands[0] == 0
