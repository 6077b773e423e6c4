from __future__ import annotations

from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.timeline import slot_bands, store_bands, upstream_bands
from tests.unit.demo.fleet.support import a_good_run


def told(bands: object) -> list[tuple[float, float, str]]:
    return [(round(b.start, 3), round(b.end, 3), b.state) for b in bands]  # type: ignore[attr-defined]


def test_a_slot_is_closed_open_killed_and_what_its_new_process_saw() -> None:
    bands = told(slot_bands(a_good_run(), 2, 20.0))
    assert bands == [
        (0.0, 2.201, "closed"),
        (2.201, 5.0, "open"),
        (5.0, 6.0, "killed"),
        (6.0, 6.53, "probing"),
        (6.53, 7.0, "ramping"),
        (7.0, 12.5, "closed"),
        (12.5, 16.0, "open"),
        (16.0, 20.0, "closed"),
    ]


def test_a_killed_process_without_a_successor_stays_killed() -> None:
    facts = a_good_run()
    facts.processes.pop()
    assert told(slot_bands(facts, 2, 9.0))[-1] == (5.0, 9.0, "killed")


def test_there_are_no_gaps() -> None:
    for slot in (1, 2, 3):
        bands = slot_bands(a_good_run(), slot, 20.0)
        assert [b.start for b in bands[1:]] == [b.end for b in bands[:-1]]
        assert (bands[0].start, bands[-1].end) == (0.0, 20.0)


def test_surroundings() -> None:
    facts = a_good_run()
    assert told(store_bands(facts, 20.0)) == [(0.0, 9.0, "alive"), (9.0, 14.0, "dead"), (14.0, 20.0, "alive")]
    assert told(upstream_bands(facts, 20.0))[:2] == [(0.0, 2.0, "healthy"), (2.0, 4.0, "failing")]


def test_before_anything_has_happened_there_are_no_bands() -> None:
    facts = Facts()
    assert (slot_bands(facts, 1, 0.0), store_bands(facts, 0.0), upstream_bands(facts, 0.0)) == ([], [], [])
