"""Once, before the first message: under concurrency, cancellation, failure, and in several loops."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from cqrs.dispatcher.startup import Startup
from cqrs.exceptions import ConfigurationError


def test_plain_callables_run_at_once() -> None:
    log: list[str] = []
    startup = Startup([lambda: log.append("a"), lambda: log.append("b")])
    assert log == ["a", "b"]
    assert startup.is_done


@pytest.mark.parametrize("given", [None, (), []])
def test_nothing_to_run_is_done(given: Any) -> None:
    assert Startup(given).is_done


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="on_startup must hold callables"):
        Startup([42])  # type: ignore[list-item]


async def test_async_callables_run_once_in_order_for_any_number_of_waiters() -> None:
    log: list[str] = []
    gate = asyncio.Event()

    async def first() -> None:
        await gate.wait()
        log.append("first")

    async def second() -> None:
        log.append("second")

    startup = Startup([first, second])
    assert not startup.is_done
    waiters = [asyncio.create_task(startup.ensure()) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*waiters)
    await startup.ensure()
    assert log == ["first", "second"]
    assert startup.is_done


async def test_an_awaitable_that_a_plain_callable_returns_is_awaited() -> None:
    log: list[str] = []

    async def start() -> None:
        log.append("started")

    startup = Startup([lambda: start()])
    assert log == []
    await startup.ensure()
    assert log == ["started"]


async def test_a_cancelled_first_user_does_not_interrupt_it() -> None:
    runs = 0
    gate = asyncio.Event()

    async def start() -> None:
        nonlocal runs
        runs += 1
        await gate.wait()

    startup = Startup([start])
    first = asyncio.create_task(startup.ensure())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(startup.ensure())
    await asyncio.sleep(0)
    gate.set()
    await second
    assert runs == 1


async def test_a_failure_reaches_everybody_who_waits_and_is_tried_again_by_the_next() -> None:
    runs: list[str] = []
    failing = True

    async def once() -> None:
        runs.append("once")

    async def start() -> None:
        runs.append("start")
        if failing:
            raise ConnectionError("not yet")

    startup = Startup([once, start])
    outcomes = await asyncio.gather(startup.ensure(), startup.ensure(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]
    failing = False
    await startup.ensure()
    assert runs == ["once", "start", "start"]


async def test_a_startup_callable_may_use_what_waits_for_it() -> None:
    async def start() -> None:
        await startup.ensure()

    startup = Startup([start])
    async with asyncio.timeout(30):
        await startup.ensure()
    assert startup.is_done


def test_a_loop_that_ends_in_the_middle_leaves_the_rest_to_the_next_loop() -> None:
    runs: list[str] = []

    async def start() -> None:
        runs.append("begun")
        if len(runs) == 1:
            await asyncio.Event().wait()

    startup = Startup([start])

    async def give_up() -> None:
        task = asyncio.create_task(startup.ensure())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(give_up())
    assert not startup.is_done
    asyncio.run(startup.ensure())
    assert runs == ["begun", "begun"]
    assert startup.is_done


def test_threads_with_a_loop_each_share_one_run() -> None:
    runs = 0
    begun = threading.Event()
    others_wait = threading.Event()

    async def start() -> None:
        nonlocal runs
        runs += 1
        begun.set()
        await asyncio.to_thread(others_wait.wait, 30)

    startup = Startup([start])
    failures: list[BaseException] = []

    def use(first: bool) -> None:
        async def main() -> None:
            async with asyncio.timeout(30):
                if first:
                    await startup.ensure()
                else:
                    waiting = asyncio.create_task(startup.ensure())
                    await asyncio.sleep(0)
                    others_wait.set()
                    await waiting

        try:
            asyncio.run(main())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(True,))]
    threads[0].start()
    assert begun.wait(30)
    threads += [threading.Thread(target=use, args=(False,)) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert runs == 1
    assert startup.is_done


async def test_a_callable_that_is_cancelled_of_its_own_accord_is_a_failure() -> None:
    async def start() -> None:
        raise asyncio.CancelledError

    startup = Startup([start])
    async with asyncio.timeout(30):
        with pytest.raises(RuntimeError, match="was cancelled"):
            await startup.ensure()
    assert not startup.is_done


@pytest.mark.parametrize("end", ["left early", "cancelled", "not started"])
async def test_what_waits_for_the_start_is_closed_however_it_ends(end: str) -> None:
    log: list[str] = []

    async def start() -> None:
        if end == "not started":
            raise OSError

    class Items:
        def __aiter__(self) -> Items:
            return self

        async def __anext__(self) -> int:
            if end == "cancelled":
                raise asyncio.CancelledError
            return 1

        async def aclose(self) -> None:
            log.append("closed")

    items = Startup([start]).before(Items())
    with contextlib.suppress(OSError, asyncio.CancelledError):
        assert await anext(items) == 1
    await items.aclose()
    assert log == ["closed"]
