from __future__ import annotations

import asyncio

import pytest

from cqrs.outbox.sheltering import sheltered


class Work:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended = False

    async def __call__(self, error: Exception | None = None) -> int:
        self.begun.set()
        await self.may_end.wait()
        self.ended = True
        if error is not None:
            raise error
        return 7


async def test_the_result_comes_through() -> None:
    work = Work()
    work.may_end.set()
    assert await sheltered(work(), 1) == 7


async def test_an_error_comes_through() -> None:
    work = Work()
    work.may_end.set()
    with pytest.raises(ValueError, match="no"):
        await sheltered(work(ValueError("no")), 1)


@pytest.mark.parametrize("error", [None, ValueError("lost with the cancellation")])
async def test_a_cancelled_task_lets_its_work_end_first(error: Exception | None) -> None:
    work = Work()
    task = asyncio.ensure_future(sheltered(work(error), 60))
    await work.begun.wait()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.ended


async def test_work_that_does_not_end_is_given_up() -> None:
    work = Work()
    task = asyncio.ensure_future(sheltered(work(), 0.01))
    await work.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not work.ended


async def test_a_second_cancellation_ends_it_at_once() -> None:
    work = Work()
    task = asyncio.ensure_future(sheltered(work(), 60))
    await work.begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not work.ended
