"""The breaker alone: what it adds to a call that succeeds, and what a rejection costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.environments import HOLDFAST
from harness.model import Builder, Case, Prepared, Target

from . import breaker_makers as make

BARE = "floor: bare call"
WHERE = [HOLDFAST]

_WINDOW = (
    "`guarded(1)` where `guarded` is a function that returns its argument, decorated by the breaker. "
    "Policy: 30 s time window in 10 buckets, failure rate 0.5 over at least 20 calls, slow calls from 2 s, "
    "rate 0.8, calls in flight counted as slow (interlock-cb has no such rule; the rest is the same). Also "
    "the default policy (no slow-call threshold, so no clock after the call), the forms `call` and "
    "`permit`, and 1 000 other calls in flight through the same circuit."
)
_CONSECUTIVE = (
    "The same call with a breaker that opens after 5 consecutive failures and stays open for a fixed time: "
    "Holdfast's `consecutive` preset and what the peers do by default. All use their decorator; Holdfast's "
    "`call` form is listed too."
)
WINDOW_SYNC = Case(
    key="breaker-window-sync",
    title="breaker, window policy, closed, sync",
    what=_WINDOW,
    targets=(
        Target("Holdfast", "above", 0.8),
        Target("Holdfast", "speedup", 5.0, against="interlock-cb"),
    ),
)
WINDOW_ASYNC = Case(
    key="breaker-window-async",
    title="breaker, window policy, closed, async",
    what=_WINDOW.replace("`guarded(1)`", "`await guarded(1)`"),
    targets=(
        Target("Holdfast", "above", 1.0),
        Target("Holdfast", "speedup", 5.0, against="interlock-cb"),
    ),
)
CONSECUTIVE_SYNC = Case(
    key="breaker-consecutive-sync",
    title="breaker, consecutive failures, closed, sync",
    what=_CONSECUTIVE,
    targets=(Target("Holdfast", "above", 0.35), Target("Holdfast", "fastest")),
)
CONSECUTIVE_ASYNC = Case(
    key="breaker-consecutive-async",
    title="breaker, consecutive failures, closed, async",
    what=_CONSECUTIVE,
    targets=(Target("Holdfast", "above", 0.5), Target("Holdfast", "fastest")),
    cannot="pybreaker guards Tornado coroutines only, not asyncio's.",
)
OPEN_SYNC = Case(
    key="breaker-open-sync",
    title="breaker open, call rejected, sync",
    what=(
        "`guarded(1)` with the circuit open, including the `try` and `except` around it. The floor is a "
        "function that raises a new `RuntimeError`, caught the same way."
    ),
    targets=(
        Target("Holdfast, consecutive preset", "value", 1.5),
        Target("Holdfast, window policy", "value", 1.5),
    ),
)
OPEN_ASYNC = Case(
    key="breaker-open-async",
    title="breaker open, call rejected, async",
    what="As above with coroutine functions.",
    targets=(
        Target("Holdfast, consecutive preset", "value", 1.5),
        Target("Holdfast, window policy", "value", 1.5),
    ),
    cannot="pybreaker guards Tornado coroutines only, not asyncio's.",
)
CASES = (WINDOW_SYNC, WINDOW_ASYNC, CONSECUTIVE_SYNC, CONSECUTIVE_ASYNC, OPEN_SYNC, OPEN_ASYNC)


def work(value: int) -> int:
    """What is guarded."""
    return value


async def work_async(value: int) -> int:
    """What is guarded, as a coroutine function."""
    return value


def fail(value: int) -> int:
    raise ConnectionError("the dependency is down")


async def fail_async(value: int) -> int:
    raise ConnectionError("the dependency is down")


def refuse(value: int) -> int:
    raise RuntimeError("refused")


async def refuse_async(value: int) -> int:
    raise RuntimeError("refused")


# -- closed ----------------------------------------------------------------------------------------


def _calls(guarded: Callable[[int], int], **options: Any) -> Prepared:
    assert guarded(7) == 7

    def loop(count: int) -> None:
        call = guarded
        for _ in range(count):
            call(1)

    return Prepared(loop, **options)


async def _awaits(guarded: Callable[[int], Any], **options: Any) -> Prepared:
    assert await guarded(7) == 7

    async def loop(count: int) -> None:
        call = guarded
        for _ in range(count):
            await call(1)

    return Prepared(loop, **options)


def _recorded(breaker: Any, admitted_before: int = 0) -> Callable[[int], None]:
    """A check that Holdfast's breaker recorded every single call, the one of the self-check included."""

    def verify(operations: int) -> None:
        snapshot = breaker.snapshot()
        expected = operations + 1 + admitted_before
        assert snapshot.admitted == expected, f"{snapshot.admitted} calls admitted, {expected} made"
        assert snapshot.succeeded == operations + 1, f"{snapshot.succeeded} successes of {operations + 1}"

    return verify


def _decorated(maker: Callable[[], Any]) -> Builder:
    return lambda: _calls(maker()(work))


def _decorated_async(maker: Callable[[], Any]) -> Builder:
    return lambda: _awaits(maker()(work_async))


def _holdfast(maker: Callable[[], Any]) -> Builder:
    def build() -> Prepared:
        breaker = maker()
        return _calls(breaker(work), verify=_recorded(breaker))

    return build


def _holdfast_async(maker: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        breaker = maker()
        return await _awaits(breaker(work_async), verify=_recorded(breaker))

    return build


def _holdfast_call(maker: Callable[[], Any]) -> Builder:
    def build() -> Prepared:
        breaker = maker()
        assert breaker.call(work, 7) == 7

        def loop(count: int) -> None:
            call = breaker.call
            for _ in range(count):
                call(work, 1)

        return Prepared(loop, verify=_recorded(breaker))

    return build


def _holdfast_call_async(maker: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        breaker = maker()
        assert await breaker.call(work_async, 7) == 7

        async def loop(count: int) -> None:
            call = breaker.call
            for _ in range(count):
                await call(work_async, 1)

        return Prepared(loop, verify=_recorded(breaker))

    return build


def _holdfast_permit() -> Prepared:
    breaker = make.holdfast_window()

    def loop(count: int) -> None:
        for _ in range(count):
            with breaker.permit():
                work(1)

    loop(1)
    return Prepared(loop, verify=_recorded(breaker))


async def _holdfast_permit_async() -> Prepared:
    breaker = make.holdfast_window()

    async def loop(count: int) -> None:
        for _ in range(count):
            async with breaker.permit():
                await work_async(1)

    await loop(1)
    return Prepared(loop, verify=_recorded(breaker))


def _holdfast_crowded() -> Prepared:
    breaker = make.holdfast_window()
    others = [breaker.acquire() for _ in range(1000)]
    return _calls(breaker(work), verify=_recorded(breaker, len(others)))


async def _holdfast_crowded_async() -> Prepared:
    breaker = make.holdfast_window()
    others = [breaker.acquire() for _ in range(1000)]
    return await _awaits(breaker(work_async), verify=_recorded(breaker, len(others)))


for _case, _floor in ((WINDOW_SYNC, lambda: _calls(work)), (CONSECUTIVE_SYNC, lambda: _calls(work))):
    _case.add(BARE, _floor, WHERE, floor=True)
for _case, _floor_async in (
    (WINDOW_ASYNC, lambda: _awaits(work_async)),
    (CONSECUTIVE_ASYNC, lambda: _awaits(work_async)),
):
    _case.add(BARE, _floor_async, WHERE, floor=True)

WINDOW_SYNC.add("Holdfast", _holdfast(make.holdfast_window), WHERE)
WINDOW_SYNC.add("Holdfast, default policy", _holdfast(make.holdfast_default), WHERE)
WINDOW_SYNC.add("Holdfast, `call` form", _holdfast_call(make.holdfast_window), WHERE)
WINDOW_SYNC.add("Holdfast, `permit` form", _holdfast_permit, WHERE)
WINDOW_SYNC.add("Holdfast, 1 000 calls in flight", _holdfast_crowded, WHERE)
WINDOW_SYNC.add("interlock-cb", _decorated(make.interlock_window), WHERE)

WINDOW_ASYNC.add("Holdfast", _holdfast_async(make.holdfast_window), WHERE)
WINDOW_ASYNC.add("Holdfast, default policy", _holdfast_async(make.holdfast_default), WHERE)
WINDOW_ASYNC.add("Holdfast, `call` form", _holdfast_call_async(make.holdfast_window), WHERE)
WINDOW_ASYNC.add("Holdfast, `permit` form", _holdfast_permit_async, WHERE)
WINDOW_ASYNC.add("Holdfast, 1 000 calls in flight", _holdfast_crowded_async, WHERE)
WINDOW_ASYNC.add("interlock-cb", _decorated_async(make.interlock_window), WHERE)

CONSECUTIVE_SYNC.add("Holdfast", _holdfast(make.holdfast_consecutive), WHERE)
CONSECUTIVE_SYNC.add("Holdfast, `call` form", _holdfast_call(make.holdfast_consecutive), WHERE)
CONSECUTIVE_SYNC.add("circuitbreaker", _decorated(make.circuitbreaker_breaker), WHERE)
CONSECUTIVE_SYNC.add("aiobreaker", _decorated(make.aiobreaker_breaker), WHERE)
CONSECUTIVE_SYNC.add("purgatory", _decorated(make.purgatory_sync), WHERE)
CONSECUTIVE_SYNC.add("pybreaker", _decorated(make.pybreaker_breaker), WHERE)

CONSECUTIVE_ASYNC.add("Holdfast", _holdfast_async(make.holdfast_consecutive), WHERE)
CONSECUTIVE_ASYNC.add("Holdfast, `call` form", _holdfast_call_async(make.holdfast_consecutive), WHERE)
CONSECUTIVE_ASYNC.add("circuitbreaker", _decorated_async(make.circuitbreaker_breaker), WHERE)
CONSECUTIVE_ASYNC.add("aiobreaker", _decorated_async(make.aiobreaker_breaker), WHERE)
CONSECUTIVE_ASYNC.add("purgatory", _decorated_async(make.purgatory_async), WHERE)


# -- open ------------------------------------------------------------------------------------------


def reject_loop(maker: Callable[[], Any]) -> Callable[[int], None]:
    """Open a circuit by failures, then return a loop that is rejected every time, and checks it."""
    breaker = maker()
    failing, guarded = breaker(fail), breaker(work)
    rejection = _open(failing)

    def loop(count: int) -> None:
        call = guarded
        for _ in range(count):
            try:
                call(1)
            except rejection:
                continue
            raise AssertionError("a call was let through")

    loop(1)
    return loop


def _open(failing: Callable[[int], Any]) -> type[BaseException]:
    """Fail until the circuit answers by itself, and return the type of its rejection."""
    for _ in range(50):
        try:
            failing(1)
        except ConnectionError:
            continue
        except Exception as error:
            return type(error)
    raise AssertionError("the circuit did not open")


async def _reject_loop_async(maker: Callable[[], Any]) -> Callable[[int], Any]:
    breaker = maker()
    failing, guarded = breaker(fail_async), breaker(work_async)
    rejection: type[BaseException] | None = None
    for _ in range(50):
        try:
            await failing(1)
        except ConnectionError:
            continue
        except Exception as error:
            rejection = type(error)
            break
    assert rejection is not None, "the circuit did not open"
    expected = rejection

    async def loop(count: int) -> None:
        call = guarded
        for _ in range(count):
            try:
                await call(1)
            except expected:
                continue
            raise AssertionError("a call was let through")

    await loop(1)
    return loop


def _rejected(maker: Callable[[], Any]) -> Builder:
    return lambda: Prepared(reject_loop(maker))


def _rejected_async(maker: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        return Prepared(await _reject_loop_async(maker))

    return build


@OPEN_SYNC.subject("floor: function raises, caught", HOLDFAST, floor=True)
def _refuse() -> Prepared:
    def loop(count: int) -> None:
        call = refuse
        for _ in range(count):
            try:
                call(1)
            except RuntimeError:
                continue

    return Prepared(loop)


@OPEN_ASYNC.subject("floor: function raises, caught", HOLDFAST, floor=True)
def _refuse_async() -> Prepared:
    async def loop(count: int) -> None:
        call = refuse_async
        for _ in range(count):
            try:
                await call(1)
            except RuntimeError:
                continue

    return Prepared(loop)


SYNC_MAKERS = {
    "Holdfast, window policy": make.holdfast_window,
    "Holdfast, consecutive preset": make.holdfast_consecutive,
    "interlock-cb": make.interlock_window,
    "circuitbreaker": make.circuitbreaker_breaker,
    "aiobreaker": make.aiobreaker_breaker,
    "purgatory": make.purgatory_sync,
    "pybreaker": make.pybreaker_breaker,
}
"""All breakers that guard a plain function, by label; other cases use them too."""

for _label, _maker in SYNC_MAKERS.items():
    OPEN_SYNC.add(_label, _rejected(_maker), WHERE)
    if _label == "purgatory":
        OPEN_ASYNC.add(_label, _rejected_async(make.purgatory_async), WHERE)
    elif _label != "pybreaker":
        OPEN_ASYNC.add(_label, _rejected_async(_maker), WHERE)
