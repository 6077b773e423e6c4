"""The sorted set that a coordinator keeps nodes, permits, reporters and changes in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort


class Scores:
    """A sorted set like the one of Redis: members in the order of their scores, then of their names.

    A list with binary search: moving 10 000 pointers costs as little as the rest of an operation.
    """

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        self.scores: dict[str, int] = {}
        self.order: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self.order)

    def __contains__(self, member: str) -> bool:
        return member in self.scores

    def add(self, member: str, score: int) -> None:
        """Add a member or give it another score."""
        order = self.order
        old = self.scores.get(member)
        if old is not None:
            del order[bisect_left(order, (old, member))]
        self.scores[member] = score
        item = (score, member)
        if not order or order[-1] < item:
            order.append(item)
        else:
            insort(order, item)

    def remove(self, member: str) -> bool:
        """Remove a member; return whether there was one."""
        old = self.scores.pop(member, None)
        if old is None:
            return False
        del self.order[bisect_left(self.order, (old, member))]
        return True

    def below(self, score: int) -> list[str]:
        """Return the members with a smaller score."""
        order = self.order
        if not order or order[0][0] >= score:
            return []
        return [member for _, member in order[: bisect_left(order, (score,))]]

    def above(self, score: int) -> list[str]:
        """Return the members with a greater score."""
        order = self.order
        if not order or order[-1][0] <= score:
            return []
        return [member for _, member in order[self.rank_above(score) :]]

    def rank_above(self, score: int) -> int:
        """Return the position of the first member with a greater score."""
        return bisect_right(self.order, score, key=_score)

    def count_from(self, score: int) -> int:
        """Return how many members have at least this score."""
        return len(self.order) - bisect_left(self.order, (score,))


def _score(item: tuple[int, str]) -> int:
    return item[0]
