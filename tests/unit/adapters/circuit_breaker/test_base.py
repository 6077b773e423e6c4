"""What every adapter does with a call, whatever its library does."""

from __future__ import annotations

import asyncio
import gc
import pickle
import weakref
from typing import Any

import pytest

from cqrs.circuit_breaker.protocol import ICircuitBreaker, IGuardingCircuitBreaker
from tests.breakers import ExcludedByPredicate, ExcludedByType, Rig


async def succeed(value: str = "ok") -> str:
    return value


async def fail() -> None:
    raise ConnectionError("refused")


class Payments:
    async def handle(self) -> None: ...


def test_it_is_a_circuit_breaker_with_the_streaming_form(rig: Rig) -> None:
    assert isinstance(rig.breaker, ICircuitBreaker)
    assert isinstance(rig.breaker, IGuardingCircuitBreaker)


async def test_a_call_gets_its_arguments_and_returns_the_result(rig: Rig) -> None:
    async def join(*args: int, **kwargs: int) -> tuple[Any, ...]:
        return args, kwargs

    assert await rig.breaker.call("x", join, 1, 2, z=3) == ((1, 2), {"z": 3})


async def test_below_the_threshold_the_calls_own_error_is_raised_unchanged(rig: Rig) -> None:
    error = ConnectionError("mine")

    async def fail_with_it() -> None:
        raise error

    with pytest.raises(ConnectionError) as caught:
        await rig.breaker.call("x", fail_with_it)
    assert caught.value is error


async def test_the_librarys_frames_are_not_in_the_traceback_of_the_calls_error(rig: Rig) -> None:
    with pytest.raises(ConnectionError) as caught:
        await rig.breaker.call("x", fail)
    places = {entry.path.name for entry in caught.traceback if hasattr(entry.path, "name")}
    assert places == {"test_base.py", "_base.py"}


async def test_failures_leave_no_garbage_cycles(rig: Rig) -> None:
    class Marked(Exception):
        pass

    async def fail_marked() -> None:
        raise Marked

    loop, gone, watch = asyncio.get_running_loop(), asyncio.Event(), list[weakref.ref[Marked]]()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rig.threshold - 1):
            try:
                await rig.breaker.call("x", fail_marked)
            except Marked as error:
                gone.clear()
                watch.append(weakref.ref(error, lambda _: loop.call_soon_threadsafe(gone.set)))
        if not rig.keeps_last_failure:
            async with asyncio.timeout(30):  # a worker thread may take a moment to let go of it
                await gone.wait()
    finally:
        gc.enable()


async def test_the_call_that_opens_the_circuit(rig: Rig) -> None:
    for _ in range(rig.threshold - 1):
        with pytest.raises(ConnectionError):
            await rig.breaker.call("x", fail)
    with pytest.raises(Exception) as caught:
        await rig.breaker.call("x", fail)
    if rig.own_error_when_opening:
        assert isinstance(caught.value, ConnectionError)
    else:
        assert rig.breaker.is_circuit_breaker_error(caught.value)
        assert isinstance(caught.value.__cause__, ConnectionError)


async def test_an_open_circuit_rejects_without_calling(rig: Rig) -> None:
    await rig.trip("x")
    called = []

    async def call() -> None:
        called.append(1)

    with pytest.raises(Exception) as caught:
        await rig.breaker.call("x", call)
    assert rig.breaker.is_circuit_breaker_error(caught.value)
    assert not called


async def test_identifiers_have_circuits_of_their_own(rig: Rig) -> None:
    await rig.trip("x")
    assert await rig.breaker.call("y", succeed) == "ok"


async def test_a_class_is_identified_by_module_and_qualified_name(rig: Rig) -> None:
    def scope() -> type[Any]:
        class Payments:
            pass

        return Payments

    await rig.trip(Payments)
    assert await rig.rejects(f"{__name__}.Payments")
    assert not await rig.rejects(scope())


async def test_a_successful_probe_closes_and_a_failed_one_reopens(rig: Rig) -> None:
    await rig.trip("x")
    rig.pass_open_time()
    with pytest.raises(Exception):
        await rig.breaker.call("x", fail)
    assert await rig.rejects("x")
    rig.pass_open_time()
    assert await rig.breaker.call("x", succeed) == "ok"
    assert not await rig.rejects("x")
    with pytest.raises(ConnectionError):  # the count starts over
        await rig.breaker.call("x", fail)
    assert not await rig.rejects("x")


@pytest.mark.parametrize("error", [ExcludedByType(), ExcludedByPredicate()], ids=["type", "predicate"])
async def test_an_excluded_error_does_not_count(rig: Rig, error: Exception) -> None:
    async def refuse() -> None:
        raise error

    for _ in range(rig.threshold * 2):
        with pytest.raises(type(error)) as caught:
            await rig.breaker.call("x", refuse)
        assert caught.value is error
    assert not await rig.rejects("x")


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_an_interruption_does_not_count(rig: Rig, error: type[BaseException]) -> None:
    async def interrupted() -> None:
        raise error

    for _ in range(rig.threshold * 2):
        with pytest.raises(error):
            await rig.breaker.call("x", interrupted)
    assert not await rig.rejects("x")


async def test_a_cancelled_task_does_not_count_and_gives_a_probe_back(rig: Rig) -> None:
    await rig.trip("x")
    rig.pass_open_time()
    for _ in range(rig.threshold * 2):
        started = asyncio.Event()

        async def hang(started: asyncio.Event = started) -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(rig.breaker.call("x", hang))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(Exception):  # still half-open: one failure reopens, so none of these closed it
        await rig.breaker.call("x", fail)
    assert await rig.rejects("x")


async def test_the_same_breaker_serves_several_event_loops(rig: Rig) -> None:
    await rig.trip("x")
    in_another = await asyncio.to_thread(lambda: asyncio.run(rig.rejects("x")))
    assert in_another


async def test_rejections_are_fresh_and_their_tracebacks_do_not_grow(rig: Rig) -> None:
    await rig.trip("x")
    seen: list[Exception] = []
    depths: list[int] = []
    for _ in range(20):
        with pytest.raises(Exception) as caught:
            await rig.breaker.call("x", succeed)
        seen.append(caught.value)
        depths.append(len(caught.traceback))
    assert len({id(error) for error in seen}) == len(seen)
    assert max(depths) == depths[0]
    assert rig.breaker.is_circuit_breaker_error(pickle.loads(pickle.dumps(seen[0])))


async def test_trouble_inside_the_library_never_takes_the_place_of_the_call(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(name: str) -> None:
        raise OSError("storage down")

    with monkeypatch.context() as patch:
        patch.setattr(rig.breaker, "_admit", broken)
        for _ in range(3):
            assert await rig.breaker.call("x", succeed) == "ok"
            with pytest.raises(ConnectionError):
                await rig.breaker.call("x", fail)
    assert [r.levelname for r in caplog.records] == ["ERROR"], "told once, not per call"
    await rig.trip("x")  # guarded again


async def test_an_outcome_that_cannot_be_recorded_is_still_the_calls_outcome(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def succeed(self) -> None:
            raise OSError("storage down")

        async def fail(self, error: Exception) -> None:
            raise OSError("storage down")

        def abandon(self) -> None: ...

    async def admit(name: str) -> Broken:
        return Broken()

    monkeypatch.setattr(rig.breaker, "_admit", admit)
    assert await rig.breaker.call("x", succeed) == "ok"
    with pytest.raises(ConnectionError):
        await rig.breaker.call("x", fail)
    assert len(caplog.records) == 2


async def test_calls_in_progress_do_not_wait_for_each_other(rig: Rig) -> None:
    together = asyncio.Barrier(10)

    async def meet() -> None:
        await together.wait()

    async with asyncio.timeout(30):
        await asyncio.gather(*(rig.breaker.call("x", meet) for _ in range(10)))
