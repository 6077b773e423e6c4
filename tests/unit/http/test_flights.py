"""One call for many."""

from __future__ import annotations

import asyncio
import threading

from cqrs.http.flights import Flight, Flights, Landing


def test_who_comes_first_makes_the_call() -> None:
    flights = Flights()
    flight, mine = flights.join("a")
    assert mine
    assert flights.join("a") == (flight, False)
    assert flights.join("b")[1]
    flights.end("a")
    assert flight.wait(0)
    assert flights.join("a")[1]
    assert len(flights) == 2


def test_a_thread_waits_so_long_and_no_longer() -> None:
    flight = Flight()
    assert not Landing(flight, 0.001).wait()
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(Landing(flight, 60).wait()))
    thread.start()
    flight.landed()
    thread.join()
    assert results == [True]


async def test_a_task_waits_so_long_and_no_longer() -> None:
    flight = Flight()
    assert not await Landing(flight, 0.001).wait_async()
    task = asyncio.create_task(Landing(flight, 60).wait_async())
    await asyncio.sleep(0)
    flight.landed()
    assert await task
    assert await Landing(flight, 0).wait_async(), "it is over already"


def test_tasks_of_other_loops_are_woken_and_closed_loops_do_no_harm() -> None:
    flight, waiting = Flight(), threading.Event()

    async def give_up() -> None:
        task = asyncio.create_task(flight.wait_async(60))
        await asyncio.sleep(0)
        task.cancel()

    async def wait() -> bool:
        asyncio.get_running_loop().call_soon(waiting.set)
        return await flight.wait_async(60)

    asyncio.run(give_up())  # and its loop is closed
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(wait())))
    thread.start()
    assert waiting.wait(60)
    flight.landed()
    thread.join()
    assert results == [True]
