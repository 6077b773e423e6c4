"""Waiting for the first of several things leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from cqrs.saga.worker_waiting import Overdue, until_first, within


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_was_begun_is_cancelled_and_what_is_watched_is_not() -> None:
    watched = asyncio.create_task(forever())
    await until_first([asyncio.sleep(0), forever()], [watched])
    assert not watched.done()
    assert asyncio.all_tasks() == {watched, asyncio.current_task()}
    watched.cancel()


async def test_the_end_of_what_is_watched_is_enough() -> None:
    watched = asyncio.create_task(asyncio.sleep(0))
    await until_first([forever()], [watched])
    assert watched.done()


async def test_an_error_of_what_was_begun_is_raised() -> None:
    async def wrong() -> None:
        raise ValueError("no such sleep")

    with pytest.raises(ValueError, match="no such sleep"):
        await until_first([wrong(), forever()])


async def test_cancelling_it_cancels_what_was_begun() -> None:
    watched = asyncio.create_task(forever())
    task = asyncio.create_task(until_first([forever()], [watched]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {watched, asyncio.current_task()}
    watched.cancel()


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


async def never(_: float) -> None:
    await forever()


async def test_work_that_takes_too_long_is_cancelled() -> None:
    with pytest.raises(Overdue, match=r"longer than 1\.5 s"):
        await within(1.5, forever(), at_once)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("seconds", [None, 1.0])
async def test_work_that_ends_in_time_ends_as_it_likes(seconds: float | None) -> None:
    async def work(error: BaseException | None) -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error

    await within(seconds, work(None), never)
    with pytest.raises(TimeoutError, match="mine") as raised:
        await within(seconds, work(TimeoutError("mine")), never)
    assert not isinstance(raised.value, Overdue)
    with pytest.raises(asyncio.CancelledError):
        await within(seconds, work(asyncio.CancelledError()), never)
    assert len(asyncio.all_tasks()) == 1


async def test_work_that_ends_well_although_it_was_cancelled_has_ended_well() -> None:
    async def stubborn() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    await within(1.0, stubborn(), at_once)


async def test_who_is_cancelled_takes_the_work_along() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            ended.set()

    waiting = asyncio.create_task(within(1.0, work(), never))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
    assert len(asyncio.all_tasks()) == 1
