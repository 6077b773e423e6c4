"""What is particular to the ``aiobreaker`` library."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import aiobreaker
import pytest
from aiobreaker.state import CircuitBreakerState
from aiobreaker.storage.memory import CircuitMemoryStorage

from cqrs.adapters.circuit_breaker import AioBreakerAdapter
from cqrs.exceptions import PolicyError


def memory(name: str = "") -> Any:
    return CircuitMemoryStorage(CircuitBreakerState.CLOSED)


async def fail() -> None:
    raise ConnectionError("refused")


async def succeed() -> str:
    return "ok"


async def trip(breaker: AioBreakerAdapter, calls: int) -> None:
    for _ in range(calls):
        with pytest.raises((ConnectionError, aiobreaker.CircuitBreakerError)):
            await breaker.call("x", fail)


async def test_the_defaults_are_five_failures_and_a_minute() -> None:
    breaker = AioBreakerAdapter()
    await trip(breaker, 4)
    assert await breaker.call("y", succeed) == "ok"
    with pytest.raises(aiobreaker.CircuitBreakerError):
        await breaker.call("x", fail)
    with pytest.raises(aiobreaker.CircuitBreakerError) as rejected:
        await breaker.call("x", succeed)
    assert timedelta(seconds=55) < rejected.value.time_remaining <= timedelta(seconds=60)


async def test_the_failure_that_opens_the_circuit_raises_the_librarys_error_from_the_own_one() -> None:
    with pytest.raises(aiobreaker.CircuitBreakerError) as caught:
        await AioBreakerAdapter(fail_max=1).call("x", fail)
    assert isinstance(caught.value.__cause__, ConnectionError)


async def test_a_timedelta_is_taken_as_it_is() -> None:
    breaker = AioBreakerAdapter(1, timedelta(minutes=10))
    await trip(breaker, 1)
    with pytest.raises(aiobreaker.CircuitBreakerError) as rejected:
        await breaker.call("x", succeed)
    assert rejected.value.time_remaining > timedelta(minutes=9)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
async def test_the_remaining_time_is_right_in_every_time_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        breaker = AioBreakerAdapter(1, 60)
        await trip(breaker, 1)
        with pytest.raises(aiobreaker.CircuitBreakerError) as rejected:
            await breaker.call("x", succeed)
        assert timedelta(seconds=50) < rejected.value.time_remaining <= timedelta(seconds=60)
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_the_library_is_asked_no_deprecated_time() -> None:
    # datetime.utcnow warns from Python 3.12 on; a name that is never looked up cannot warn.
    from aiobreaker import circuitbreaker, state

    class NoUtcNow(datetime):
        @classmethod
        def utcnow(cls) -> datetime:
            raise AssertionError("utcnow")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(circuitbreaker, "datetime", NoUtcNow)
        patch.setattr(state, "datetime", NoUtcNow)
        breaker = AioBreakerAdapter(fail_max=2)
        await trip(breaker, 3)


async def test_a_storage_with_aware_times_works() -> None:
    class Aware(CircuitMemoryStorage):  # type: ignore[misc]
        @property
        def opened_at(self) -> datetime | None:
            stored = self._opened_at
            return (
                None
                if stored is None
                else stored.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=9)))
            )

        @opened_at.setter
        def opened_at(self, value: datetime) -> None:
            self._opened_at = value

    breaker = AioBreakerAdapter(1, 60, storage_factory=lambda name: Aware(CircuitBreakerState.CLOSED))
    await trip(breaker, 1)
    with pytest.raises(aiobreaker.CircuitBreakerError) as rejected:
        await breaker.call("x", succeed)
    assert timedelta(seconds=50) < rejected.value.time_remaining <= timedelta(seconds=60)


async def test_a_storage_that_lost_the_time_of_opening_lets_a_probe_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = memory()
    breaker = AioBreakerAdapter(1, 60, storage_factory=lambda name: storage)
    await trip(breaker, 1)
    storage._opened_at = None
    assert await breaker.call("x", succeed) == "ok"
    assert storage.state is CircuitBreakerState.CLOSED
    assert not caplog.records


async def test_a_storage_that_cannot_keep_the_time_of_opening_does_not_hide_the_calls_error() -> None:
    class Forgetful(CircuitMemoryStorage):  # type: ignore[misc]
        opened_at = property(lambda self: None, lambda self, value: None)

    breaker = AioBreakerAdapter(1, 60, storage_factory=lambda name: Forgetful(CircuitBreakerState.CLOSED))
    with pytest.raises(aiobreaker.CircuitBreakerError) as caught:
        await breaker.call("x", fail)
    assert isinstance(caught.value.__cause__, ConnectionError)


async def test_the_storage_factory_gets_the_circuits_name_once() -> None:
    names: list[str] = []

    def factory(name: str) -> Any:
        names.append(name)
        return memory()

    breaker = AioBreakerAdapter(storage_factory=factory)
    for _ in range(3):
        await breaker.call("x", succeed)
        await breaker.call(AioBreakerAdapter, succeed)
    assert names == ["x", "cqrs.adapters.circuit_breaker.aiobreaker.AioBreakerAdapter"]


async def test_a_blocking_storage_does_not_block_the_event_loop() -> None:
    loop_thread = threading.get_ident()
    asked, release = threading.Event(), threading.Event()
    users: set[int] = set()

    class Slow(CircuitMemoryStorage):  # type: ignore[misc]
        @property
        def state(self) -> CircuitBreakerState:
            users.add(threading.get_ident())
            asked.set()
            assert release.wait(30)
            return self._state

        @state.setter
        def state(self, state: CircuitBreakerState) -> None:
            self._state = state

    breaker = AioBreakerAdapter(storage_factory=lambda name: Slow(CircuitBreakerState.CLOSED))
    call = asyncio.create_task(breaker.call("x", succeed))
    await asyncio.to_thread(asked.wait, 30)  # the event loop turns while the storage hangs
    release.set()
    assert await call == "ok"
    assert loop_thread not in users


async def test_a_call_cancelled_while_the_storage_hangs_leaves_nothing_behind() -> None:
    entered, release = threading.Event(), threading.Event()

    def factory(name: str) -> Any:
        entered.set()
        assert release.wait(30)
        return memory()

    breaker = AioBreakerAdapter(1, storage_factory=factory)
    task = asyncio.create_task(breaker.call("x", fail))
    await asyncio.to_thread(entered.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await breaker.call("x", succeed) == "ok"


async def test_a_storage_that_cannot_be_created_does_not_stop_calls(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0

    def factory(name: str) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise OSError("refused")
        return memory()

    breaker = AioBreakerAdapter(1, storage_factory=factory)
    assert await breaker.call("x", succeed) == "ok"
    assert await breaker.call("x", succeed) == "ok"
    assert caplog.text.count("unguarded") == 1
    await trip(breaker, 1)
    with pytest.raises(aiobreaker.CircuitBreakerError):
        await breaker.call("x", succeed)


def test_failures_from_many_threads_are_all_counted() -> None:
    storage = memory()
    breaker = AioBreakerAdapter(fail_max=10_000, storage_factory=lambda name: storage)
    start = threading.Barrier(8)

    async def fail_often() -> None:
        for _ in range(25):
            with pytest.raises(ConnectionError):
                await breaker.call("x", fail)

    def run() -> None:
        start.wait()
        asyncio.run(fail_often())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert storage.counter == 200


async def test_an_excluded_probe_closes_the_circuit_as_the_library_does() -> None:
    storage = memory()
    breaker = AioBreakerAdapter(1, 60, [KeyError], lambda name: storage)
    await trip(breaker, 1)
    storage.opened_at -= timedelta(seconds=61)

    async def refuse() -> None:
        raise KeyError("business")

    with pytest.raises(KeyError):
        await breaker.call("x", refuse)
    assert storage.state is CircuitBreakerState.CLOSED


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"fail_max": 0}, PolicyError),
        ({"fail_max": True}, PolicyError),
        ({"timeout_duration": 0}, PolicyError),
        ({"timeout_duration": -1.0}, PolicyError),
        ({"timeout_duration": timedelta(0)}, PolicyError),
        ({"exclude": [int]}, TypeError),
        ({"storage_factory": "redis"}, TypeError),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        AioBreakerAdapter(**arguments)
