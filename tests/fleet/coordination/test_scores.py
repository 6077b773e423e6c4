"""The sorted set of the coordinator in Python, by itself."""

from __future__ import annotations

from cqrs.circuit_breaker.fleet.coordinator.scores import Scores


def test_a_sorted_set_tells_whether_there_was_something_to_remove() -> None:
    scores = Scores()
    scores.add("a", 1)
    assert scores.remove("a") is True
    assert scores.remove("a") is False
    assert not scores


def test_members_stand_in_the_order_of_their_scores_and_then_of_their_names() -> None:
    scores = Scores()
    for member, score in [("b", 2), ("a", 2), ("c", 1), ("b", 3), ("d", 2), ("d", 2)]:
        scores.add(member, score)
    assert scores.order == [(1, "c"), (2, "a"), (2, "d"), (3, "b")]
    assert (scores.below(2), scores.above(2)) == (["c"], ["b"])
    assert (scores.below(1), scores.above(3)) == ([], [])
    assert (scores.rank_above(2), scores.count_from(2)) == (3, 3)
