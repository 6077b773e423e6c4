"""Lanes: one item at work in each, the others in their order."""

from __future__ import annotations

from cqrs.consumers.lanes import Lanes


def test_what_has_no_ordering_never_waits() -> None:
    lanes = Lanes[int]()

    assert lanes.add(1, None)
    assert lanes.add(2, None)
    assert lanes.done(None) is None
    assert lanes.waiting(None) == 0


def test_items_of_a_lane_follow_each_other() -> None:
    lanes = Lanes[int]()

    assert [lanes.add(number, "a") for number in (1, 2, 3)] == [True, False, False]
    assert lanes.add(4, "b")
    assert lanes.waiting("a") == 2
    assert [lanes.done("a"), lanes.done("a"), lanes.done("a")] == [2, 3, None]
    assert lanes.add(5, "a")


def test_what_waits_can_be_taken_away_while_others_are_at_work() -> None:
    lanes = Lanes[int]()
    for number, ordering in ((1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "a")):
        lanes.add(number, ordering)

    assert lanes.clear() == [2, 5, 4]
    assert not lanes.add(6, "a")
    assert lanes.done("a") == 6
    assert lanes.done("b") is None
