from __future__ import annotations

from functools import partial

from cqrs.simulation.agenda import Agenda, VirtualClock


def test_actions_come_in_the_order_of_time_and_then_of_planning() -> None:
    clock = VirtualClock()
    agenda = Agenda(clock)
    done: list[tuple[float, str]] = []

    def note(name: str) -> None:
        done.append((clock(), name))
        if name == "early":
            agenda.plan(clock.now, partial(note, "at once"))

    for second, name in [(2.0, "late"), (1.0, "early"), (1.0, "next"), (3.0, "later")]:
        agenda.plan(second, partial(note, name))
    agenda.run(until=2.0)
    assert done == [(1.0, "early"), (1.0, "next"), (1.0, "at once"), (2.0, "late")]
    agenda.run(until=9.0)
    assert done[-1] == (3.0, "later")
    assert clock() == 3.0
