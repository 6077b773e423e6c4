"""The checks of the crash tests notice what they are there for: each lie about a saga is found."""

from __future__ import annotations

import dataclasses

import pytest

from tests.crash.effects import Effect
from tests.crash.facts import Expected, Facts, problems_of_end, problems_of_moment, problems_of_progress


def done(*places: str) -> tuple[Effect, ...]:
    """Effects written as "act 0" or "compensate 1"."""
    made = []
    for place in places:
        action, position = place.split()
        made.append(Effect("saga", int(position), action, f"Step{position}", f"saga:{position}:{action}", 1))
    return tuple(made)


def log(*lines: str) -> tuple[tuple[int, str, str, str], ...]:
    """Lines written as "act started 0"."""
    words = [line.split() for line in lines]
    return tuple((int(position), action, status, f"Step{position}") for action, status, position in words)


STEPS = ("Step0", "Step1")
FORWARD = log("act started 0", "act completed 0", "act started 1", "act completed 1")
COMPLETED = Facts("completed", {"total": 2}, FORWARD, done("act 0", "act 1"))
BACK = ("compensate started 1", "compensate completed 1", "compensate started 0", "compensate completed 0")
FAILED = Facts(
    "failed", {"total": 2}, FORWARD + log(*BACK), done("act 0", "act 1", "compensate 1", "compensate 0")
)
MIDDLE = Facts("running", {}, FORWARD[:3], done("act 0"))


def changed(facts: Facts, **fields: object) -> Facts:
    return dataclasses.replace(facts, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("facts", [COMPLETED, FAILED, MIDDLE, Facts(None, {}, (), ())])
def test_honest_facts_have_no_problems(facts: Facts) -> None:
    assert problems_of_moment(facts) == []
    assert problems_of_progress(facts, facts) == []
    if facts.status not in (None, "running"):
        assert problems_of_end(facts, Expected(facts.status or "", STEPS, context={"total": 2})) == []


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (changed(MIDDLE, status=None), "no such saga"),
        (changed(COMPLETED, effects=done("act 0", "act 1", "act 1")), "was done 2 times"),
        (changed(COMPLETED, effects=done("act 0")), "never done"),
        (changed(COMPLETED, log=FORWARD + log("act started 1")), "after its completion"),
        (changed(FAILED, log=FAILED.log + log("act started 2")), "after a compensation"),
        (changed(FAILED, effects=done("act 0", "compensate 0", "act 1", "compensate 1")), "acted after"),
        (
            changed(
                MIDDLE,
                log=(*FORWARD[:3], *log("act started 0")),
                effects=(*MIDDLE.effects, MIDDLE.effects[0]._replace(key="new")),
            ),
            "several keys",
        ),
    ],
)
def test_a_lie_about_a_moment_is_found(facts: Facts, problem: str) -> None:
    assert any(problem in found for found in problems_of_moment(facts))


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (MIDDLE, changed(MIDDLE, log=MIDDLE.log[1:]), "have changed"),
        (MIDDLE, changed(COMPLETED, effects=done("act 0", "act 0", "act 1")), "was done again"),
        (
            changed(MIDDLE, status="compensating"),
            changed(COMPLETED, status="failed"),
            "a step acted although",
        ),
        (
            changed(MIDDLE, status="compensating"),
            changed(MIDDLE, status="completed"),
            "a compensating saga is",
        ),
        (COMPLETED, changed(COMPLETED, status="failed"), "a final status has changed"),
    ],
)
def test_a_lie_about_progress_is_found(before: Facts, after: Facts, problem: str) -> None:
    assert any(problem in found for found in problems_of_progress(before, after))


@pytest.mark.parametrize(
    ("facts", "expected", "problem"),
    [
        (changed(COMPLETED, recoverable=True), Expected("completed", STEPS), "offered for recovery"),
        (MIDDLE, Expected("completed", STEPS), "is running instead of"),
        (COMPLETED, Expected("completed", (*STEPS, "Step2")), "position 2 is logged as completed by []"),
        (COMPLETED, Expected("completed", ("Step0", "Other")), "acted or was compensated, not Other"),
        (COMPLETED, Expected("completed", STEPS, context={"total": 3}), "total=2 instead of 3"),
        (changed(FAILED, status="completed"), Expected("completed", STEPS), "1 was compensated"),
        (changed(FAILED, log=FAILED.log[:-1]), Expected("failed", STEPS), "compensated, in order: [1]"),
        (FAILED, Expected("failed", STEPS, given_up=(0,)), "compensations logged as failed: []"),
        (
            changed(FAILED, effects=done("act 0", "act 1", "compensate 0", "compensate 1")),
            Expected("failed", STEPS),
            "in the order [0, 1]",
        ),
    ],
)
def test_a_lie_about_the_end_is_found(facts: Facts, expected: Expected, problem: str) -> None:
    assert any(problem in found for found in problems_of_end(facts, expected))
