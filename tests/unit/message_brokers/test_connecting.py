"""One connection for all who want it; waiting that ends when a stop is wanted."""

from __future__ import annotations

import asyncio

import pytest

from cqrs.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs.message_brokers.connecting import Connecting, Halt, Ongoing, PerLoop, check_seconds


class Line:
    """Connections that a test opens by hand."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed: list[int] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def open(self) -> int:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.opened += 1
        return self.opened

    async def close(self, value: int) -> None:
        self.closed.append(value)

    def connecting(self) -> Connecting[int]:
        return Connecting(self.open, self.close, "the line")


async def test_those_who_want_a_connection_at_once_share_it() -> None:
    line = Line()
    connecting = line.connecting()
    wanted = [asyncio.create_task(connecting.get()) for _ in range(3)]
    await asyncio.sleep(0)
    line.gate.set()

    assert await asyncio.gather(*wanted) == [1, 1, 1]


async def test_when_the_first_is_cancelled_the_next_one_opens_it() -> None:
    line = Line()
    connecting = line.connecting()
    first, second = (asyncio.create_task(connecting.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    line.gate.set()

    assert await second == 1


async def test_after_an_error_the_next_one_tries_again() -> None:
    line = Line()
    line.gate.set()
    line.error = OSError("down")
    connecting = line.connecting()
    with pytest.raises(OSError, match="down"):
        await connecting.get()
    line.error = None

    assert await connecting.get() == 1


async def test_a_failed_connection_is_replaced_once_however_many_say_so() -> None:
    line = Line()
    line.gate.set()
    connecting = line.connecting()
    first = await connecting.get()
    await asyncio.gather(connecting.drop(first), connecting.drop(first))

    assert await connecting.get() == 2
    await connecting.drop(first)
    assert connecting.current == 2
    assert line.closed == [1]


async def test_closed_is_closed_until_it_is_started() -> None:
    line = Line()
    line.gate.set()
    connecting = line.connecting()
    await connecting.get()
    await connecting.close()
    await connecting.close()

    assert line.closed == [1]
    with pytest.raises(BrokerUnavailableError, match="the line is closed"):
        await connecting.get()
    assert await connecting.start() == 2


async def test_closing_while_somebody_opens_leaves_nothing_open() -> None:
    line = Line()
    connecting = line.connecting()
    opening = asyncio.create_task(connecting.get())
    await asyncio.sleep(0)
    closing = asyncio.create_task(connecting.close())
    await asyncio.sleep(0)
    line.gate.set()
    await asyncio.gather(opening, closing)

    assert line.closed == [1]
    assert connecting.current is None


async def test_a_stop_ends_waiting_and_the_work() -> None:
    halt, ended = Halt(), asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 1

    waiting = asyncio.create_task(halt.unless(work()))
    await asyncio.sleep(0)
    halt.set()

    assert await waiting is None
    assert ended.is_set()


async def test_work_that_ends_is_what_waiting_brings() -> None:
    async def work() -> int:
        return 1

    async def fail() -> int:
        raise ValueError("no")

    halt = Halt()
    assert await halt.unless(work()) == 1
    with pytest.raises(ValueError, match="no"):
        await halt.unless(fail())


async def test_a_cancelled_waiter_takes_the_work_with_it() -> None:
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(Halt().unless(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "1", None])
def test_seconds_are_checked(value: object) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        check_seconds("timeout", value)


def test_no_seconds_are_allowed_where_that_makes_sense() -> None:
    assert check_seconds("delay", 0, zero=True) == 0.0


async def test_what_is_under_way_goes_on_when_its_waiter_is_cancelled() -> None:
    ongoing, halt, gate, brought = Ongoing("work"), Halt(), asyncio.Event(), list[int]()

    async def work() -> None:
        await gate.wait()
        brought.append(1)

    waiting = asyncio.create_task(ongoing.wait(work, halt))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    await ongoing.wait(work, halt)  # for the same work

    assert brought == [1]


async def test_a_stop_ends_waiting_for_what_is_under_way_but_not_the_work() -> None:
    ongoing, halt, gate, brought = Ongoing("work"), Halt(), asyncio.Event(), list[int]()

    async def work() -> None:
        await gate.wait()
        brought.append(1)

    waiting = asyncio.create_task(ongoing.wait(work, halt))
    await asyncio.sleep(0)
    halt.set()
    await waiting
    assert brought == []
    gate.set()
    await ongoing.finish()

    assert brought == [1]


async def test_errors_of_what_was_under_way_reach_who_waits_and_nobody_else() -> None:
    gate = asyncio.Event()

    async def fail() -> None:
        await gate.wait()
        raise ValueError("no")

    ongoing, halt = Ongoing("work"), Halt()
    halt.set()
    await ongoing.wait(fail, halt)
    gate.set()
    await ongoing.finish()
    await ongoing.finish()
    halt.clear()
    with pytest.raises(ValueError, match="no"):
        await ongoing.wait(fail, halt)


def test_one_event_loop_after_the_other_can_use_it() -> None:
    line = Line()
    line.gate.set()
    connecting, halt = line.connecting(), Halt()

    async def use(leave: bool) -> list[int]:
        halt.clear()
        waiting = asyncio.create_task(halt.unless(asyncio.Event().wait()))
        await connecting.start()
        wanted = [asyncio.create_task(connecting.get()) for _ in range(3)]
        found = await asyncio.gather(*wanted)
        halt.set()
        await waiting
        if not leave:
            await connecting.close()
        return found

    assert asyncio.run(use(leave=False)) == [1, 1, 1]
    assert asyncio.run(use(leave=True)) == [2, 2, 2]
    assert asyncio.run(use(leave=False)) == [3, 3, 3]  # the second one is given up
    assert line.closed == [1, 3]


def test_two_event_loops_at_once_cannot_use_it() -> None:
    line = Line()
    connecting = line.connecting()

    async def use() -> None:
        line.gate.set()
        await connecting.get()
        with pytest.raises(RuntimeError, match="the line is in use in another event loop"):
            await asyncio.to_thread(asyncio.run, connecting.get())
        assert await connecting.get() == 1

    asyncio.run(use())


def test_what_belongs_to_a_loop_is_made_for_each() -> None:
    made = PerLoop(asyncio.Lock)

    async def contend() -> object:
        async with made.get():
            waiting = asyncio.create_task(made.get().acquire())
            await asyncio.sleep(0)
        await waiting
        return made.get()

    assert asyncio.run(contend()) is not asyncio.run(contend())
