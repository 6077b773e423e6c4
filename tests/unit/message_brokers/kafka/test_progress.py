"""The position of a partition never passes a message that is not settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cqrs.message_brokers.kafka.progress import Progress


def delivered(*offsets: int) -> Progress:
    progress = Progress()
    for offset in offsets:
        progress.deliver(offset)
    return progress


def test_without_a_settled_message_there_is_no_position() -> None:
    progress = delivered(5, 6)

    assert (progress.position, progress.due, progress.in_work) == (None, None, 2)


def test_what_is_settled_without_a_gap_is_due_once() -> None:
    progress = delivered(5, 6, 7)
    progress.settle(5)
    progress.settle(6)

    assert progress.due == 7
    progress.committed(7)
    assert progress.due is None
    progress.settle(7)
    assert progress.due == 8


def test_a_message_that_was_given_back_is_never_passed() -> None:
    progress = delivered(5, 6, 7)
    progress.settle(7)
    progress.give_back(6)
    progress.settle(5)
    progress.settle(6)  # too late

    assert (progress.position, progress.in_work) == (6, 0)


def test_a_commit_that_comes_late_leaves_the_rest_due() -> None:
    progress = delivered(5, 6)
    progress.settle(5)
    due = progress.due
    progress.settle(6)
    assert due is not None
    progress.committed(due)

    assert progress.due == 7


@given(st.sets(st.integers(0, 30), min_size=1), st.randoms(use_true_random=False))
def test_whatever_the_order_the_position_is_behind_the_last_of_the_first_run(
    offsets: set[int], random: object
) -> None:
    order = sorted(offsets)
    progress = delivered(*order)
    settled: set[int] = set()
    shuffled = list(order)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    for offset in shuffled:
        progress.settle(offset)
        settled.add(offset)
        first_open = next((each for each in order if each not in settled), None)
        if progress.position is None:
            assert first_open == order[0]
        else:
            assert all(each in settled for each in order if each < progress.position)
            assert first_open is None or progress.position <= first_open
    assert progress.position == order[-1] + 1
