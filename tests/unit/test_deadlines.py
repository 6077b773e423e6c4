"""Deadlines that go where the context goes."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import timedelta

import pytest

from cqrs import deadlines
from cqrs.deadlines import deadline, remaining
from cqrs.exceptions import PolicyError
from cqrs.testing import FakeClock


@pytest.fixture(autouse=True)
def _time(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "now", clock)


def test_without_a_deadline_there_is_nothing_to_count() -> None:
    assert remaining() is None


@pytest.mark.parametrize("seconds", [5, 5.0, timedelta(seconds=5)])
def test_what_remains_shrinks_and_is_never_negative(clock: FakeClock, seconds: float) -> None:
    with deadline(seconds):
        assert remaining() == 5
        clock.advance(3)
        assert remaining() == 2
        clock.advance(3)
        assert remaining() == 0
    assert remaining() is None


def test_it_counts_from_the_beginning_of_the_block(clock: FakeClock) -> None:
    made = deadline(5)
    clock.advance(3)
    with made:
        assert remaining() == 5


def test_the_nearer_one_is_in_force() -> None:
    with deadline(5):
        with deadline(60):
            assert remaining() == 5
        with deadline(2):
            assert remaining() == 2
        assert remaining() == 5


def test_it_ends_with_its_block_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError), deadline(5):
        raise ZeroDivisionError
    assert remaining() is None


def test_an_object_serves_one_block_at_a_time_and_another_later() -> None:
    one = deadline(5)
    with one:
        with pytest.raises(RuntimeError, match="in use"), one:
            pass
        assert remaining() == 5
    with one:
        assert remaining() == 5
    assert remaining() is None


async def test_tasks_and_threads_of_asyncio_inherit_it() -> None:
    async def ask() -> float | None:
        return remaining()

    async with deadline(5):
        assert await asyncio.create_task(ask()) == 5
        assert await asyncio.to_thread(remaining) == 5
        assert contextvars.Context().run(remaining) is None
    assert remaining() is None


async def test_tasks_do_not_disturb_each_other() -> None:
    inside = asyncio.Event()
    go_on = asyncio.Event()

    async def one() -> float | None:
        async with deadline(5):
            inside.set()
            await go_on.wait()
            return remaining()

    task = asyncio.create_task(one())
    await inside.wait()
    assert remaining() is None
    async with deadline(1):
        go_on.set()
        assert await task == 5


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 10**400, True, "5", None])
def test_only_a_number_of_seconds_is_a_deadline(seconds: object) -> None:
    with pytest.raises(PolicyError, match="seconds"):
        deadline(seconds)  # type: ignore[arg-type]
