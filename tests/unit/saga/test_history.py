"""What a log says: with positions, without them, and when it does not fit."""

from __future__ import annotations

import datetime
import uuid

import pytest

from cqrs.exceptions import SagaDefinitionError
from cqrs.saga.history import replay
from cqrs.saga.storage.enums import SagaAction, SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry

SAGA = uuid.uuid4()
NOW = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
DECLARED = [("A",), ("B", "Fallback"), ("A",)]


def line(
    name: str,
    status: str,
    position: int | None = None,
    action: SagaAction = "act",
    details: str | None = None,
) -> SagaLogEntry:
    return SagaLogEntry(SAGA, name, action, SagaStepStatus(status), NOW, details, position)


def undo(name: str, status: str, position: int | None = None, details: str | None = None) -> SagaLogEntry:
    return line(name, status, position, "compensate", details)


def test_an_empty_log() -> None:
    history = replay(SAGA, [], DECLARED)
    assert (history.acted, history.starts, history.raised, history.compensated) == ([], 0, {}, set())


def test_who_acted_where_and_how_often_the_next_was_begun() -> None:
    log = [
        line("A", "started", 0),
        line("A", "completed", 0),
        line("B", "started", 1),
        line("Fallback", "completed", 1),
        line("A", "started", 2),
        line("A", "started", 2),
    ]
    history = replay(SAGA, log, DECLARED)
    assert history.acted == ["A", "Fallback"]
    assert history.starts == 2
    assert history.compensated == set()


def test_the_same_class_twice_is_told_apart_by_position() -> None:
    log = [
        *(line(name, "completed", place) for place, name in enumerate(["A", "B", "A"])),
        undo("A", "started", 2),
        undo("A", "completed", 2),
    ]
    assert replay(SAGA, log, DECLARED).compensated == {(2, "A")}


def test_lines_without_position_are_placed_by_order() -> None:
    log = [
        line("A", "started"),
        line("A", "completed"),
        line("B", "started"),
        line("B", "completed"),
        line("A", "started"),
        line("A", "completed"),
        undo("A", "started"),
        undo("A", "completed"),
        undo("B", "failed", details="no"),
        undo("A", "completed"),
    ]
    history = replay(SAGA, log, DECLARED)
    assert history.acted == ["A", "B", "A"]
    assert history.compensated == {(2, "A"), (0, "A")}
    assert history.failed == {(1, "B"): "no"}


def test_old_and_new_lines_may_follow_each_other() -> None:
    log = [line("A", "completed"), line("B", "started", 1), line("B", "completed", 1), line("A", "completed")]
    assert replay(SAGA, log, DECLARED).acted == ["A", "B", "A"]


def test_a_compensation_that_succeeded_later_has_not_failed() -> None:
    log = [line("A", "completed", 0), undo("A", "failed", 0, "no"), undo("A", "completed", 0)]
    history = replay(SAGA, log, DECLARED)
    assert (history.failed, history.compensated) == ({}, {(0, "A")})


def test_who_acted_in_vain_is_told_apart_from_who_acted_in_its_place() -> None:
    log = [
        line("A", "failed", 0, details="no answer"),  # and yet it has acted, in a second attempt
        line("A", "completed", 0),
        line("B", "failed", 1, details="no answer"),
        line("Fallback", "completed", 1),
        undo("B", "completed", 1),
    ]
    history = replay(SAGA, log, DECLARED)
    assert history.raised == {(1, "B"): "no answer"}
    assert history.compensated == {(1, "B")}


def test_a_line_that_was_written_twice_says_nothing_new() -> None:
    log = [line("A", "completed", 0), line("A", "completed", 0), line("B", "completed", 1)]
    assert replay(SAGA, log, DECLARED).acted == ["A", "B"]


@pytest.mark.parametrize(
    ("log", "part"),
    [
        ([line("C", "completed", 0)], "position 0 is C, but A is declared there"),
        (
            [line("A", "completed", 0), line("C", "started", 1)],
            "position 1 is C, but B or Fallback is declared",
        ),
        ([line("C", "completed")], "position 0 is C"),
        ([line("A", "completed", 3)], r"nothing is declared there \(3 steps in all\)"),
        ([line("A", "completed", -1)], "nothing is declared there"),
        ([undo("A", "completed", 1)], "position 1 is A"),
        ([line("A", "completed", 0), undo("C", "completed")], "position 1 is C"),
        ([line("A", "completed", 0), line("A", "completed", 2)], "no completed act of position 1"),
    ],
)
def test_a_log_that_does_not_fit_is_refused(log: list[SagaLogEntry], part: str) -> None:
    with pytest.raises(SagaDefinitionError, match=part) as caught:
        replay(SAGA, log, DECLARED)
    assert str(SAGA) in str(caught.value)
