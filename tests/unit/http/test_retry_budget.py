"""A budget for retries."""

from __future__ import annotations

import pytest

from cqrs.exceptions import PolicyError
from cqrs.http.retry_budget import RetryBudget


def test_ten_successes_earn_one_retry() -> None:
    budget = RetryBudget(floor=0)
    for _ in range(9):
        budget.succeeded()
    assert not budget.take()
    budget.succeeded()
    assert budget.take()
    assert not budget.take()
    assert budget.tokens == 0


def test_tokens_are_capped() -> None:
    budget = RetryBudget(per_success=1, cap=2, floor=0)
    for _ in range(100):
        budget.succeeded()
    assert [budget.take() for _ in range(4)] == [True, True, False, False]


def test_a_few_may_always_be_under_way() -> None:
    budget = RetryBudget()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    assert budget.running == 3
    budget.done()
    assert budget.take()
    assert budget.tokens == 0


def test_tokens_are_spent_before_the_floor_is_used() -> None:
    budget = RetryBudget(per_success=1, cap=1, floor=1)
    budget.succeeded()
    assert budget.take()
    assert not budget.take()  # one is under way
    budget.done()
    assert budget.take()


@pytest.mark.parametrize(
    "options", [{"per_success": 0}, {"per_success": 1.5}, {"cap": 0.5}, {"floor": -1}, {"floor": 1.5}]
)
def test_wrong_figures_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(PolicyError, match=f"RetryBudget.{next(iter(options))}"):
        RetryBudget(**options)  # type: ignore[arg-type]
