"""Waiting for the first of several things leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from cqrs.saga.worker_waiting import until_first


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
