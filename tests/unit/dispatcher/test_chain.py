"""Chains of responsibility: who runs, whose failure it is, whose events are reported."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.dispatcher.request import RequestDispatcher
from cqrs.requests import build_chain
from tests.unit.dispatcher.breakers import CallBreaker, GuardBreaker


class Ask:
    def __init__(self, until: str = "") -> None:
        self.until = until


log: list[str] = []
ERRORS: dict[str, BaseException] = {}


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()
    ERRORS.clear()


class Link(cqrs.CORRequestHandler[Ask, str]):
    """Answers when it is the one that is asked for; fails before or after passing on when told so."""

    async def handle(self, request: Ask) -> str | None:
        name = type(self).__name__
        log.append(name)
        if name in ERRORS:
            raise ERRORS[name]
        if request.until == name:
            return name
        response = await self.next(request)
        if f"{name} after" in ERRORS:
            raise ERRORS[f"{name} after"]
        return response


class First(Link): ...


class Second(Link): ...


class Third(Link): ...


class Spare(Link): ...


class Recording(Link):
    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    async def handle(self, request: Ask) -> str | None:
        self.recorded.append(f"{type(self).__name__} ran")
        return await super().handle(request)


class RecordingFirst(Recording): ...


class RecordingSecond(Recording): ...


class RecordingThird(Recording): ...


def dispatcher(*links: Any, container: Any = None) -> RequestDispatcher:
    return RequestDispatcher(cqrs.RequestMap({Ask: list(links)}), container or BuiltinContainer())


@pytest.mark.parametrize("until", ["First", "Second", "Third"])
async def test_the_first_link_that_answers_ends_the_chain(until: str) -> None:
    result = await dispatcher(First, Second, Third).dispatch(Ask(until))
    assert result.response == until
    assert log == ["First", "Second", "Third"][: ["First", "Second", "Third"].index(until) + 1]


@pytest.mark.parametrize("pair", [False, True])
async def test_the_end_of_the_chain_answers_none(pair: bool) -> None:
    second: Any = cqrs.RequestHandlerFallback(Second, Spare) if pair else Second
    assert (await dispatcher(First, second).dispatch(Ask())).response is None


async def test_the_events_of_every_link_that_ran_are_reported_in_order() -> None:
    requests = dispatcher(RecordingFirst, Second, RecordingSecond, RecordingThird)
    result = await requests.dispatch(Ask("RecordingSecond"))
    assert result.events == ("RecordingFirst ran", "RecordingSecond ran")


async def test_links_that_are_not_reached_are_not_built() -> None:
    class Unbuildable(Link):
        def __init__(self) -> None:
            raise AssertionError("built")

    assert (await dispatcher(First, Unbuildable).dispatch(Ask("First"))).response == "First"


@pytest.mark.parametrize("breaker", [None, CallBreaker(), GuardBreaker()])
async def test_a_link_may_be_a_fallback_pair(breaker: Any) -> None:
    ERRORS["Second"] = ConnectionError("second")
    requests = dispatcher(First, cqrs.RequestHandlerFallback(Second, Spare, (), breaker), Third)
    result = await requests.dispatch(Ask("Third"))
    assert result.response == "Third"
    assert log == ["First", "Second", "Spare", "Third"]
    assert result.fallback is not None
    assert result.fallback.handler is Spare


@pytest.mark.parametrize("breaker", [None, CallBreaker(1), GuardBreaker(1)])
async def test_an_error_from_further_down_is_not_the_failure_of_the_links_it_passes(breaker: Any) -> None:
    ERRORS["Third"] = error = ConnectionError("third")
    requests = dispatcher(cqrs.RequestHandlerFallback(First, Spare, (), breaker), Second, Third)
    for _ in range(3):
        with pytest.raises(ConnectionError) as caught:
            await requests.dispatch(Ask("Third"))
        assert caught.value is error
    assert "Spare" not in log
    if breaker is not None:
        assert not breaker.is_open
    assert error.__cause__ is None


async def test_an_error_of_its_own_after_passing_on_is_a_links_failure() -> None:
    ERRORS["First after"] = ConnectionError("first")
    requests = dispatcher(cqrs.RequestHandlerFallback(First, Spare), Second)
    result = await requests.dispatch(Ask("Second"))
    assert result.response == "Second"
    assert log == ["First", "Second", "Spare", "Second"]


async def test_a_link_may_answer_for_an_error_from_further_down() -> None:
    class Catching(Link):
        async def handle(self, request: Ask) -> str | None:
            try:
                return await self.next(request)
            except ConnectionError:
                return "caught"

    ERRORS["Second"] = ConnectionError("second")
    assert (await dispatcher(Catching, Second).dispatch(Ask())).response == "caught"


async def test_a_fallback_link_lets_errors_from_further_down_alone() -> None:
    ERRORS["First"] = ConnectionError("first")
    ERRORS["Second"] = error = TimeoutError("second")
    requests = dispatcher(cqrs.RequestHandlerFallback(First, Spare), Second)
    with pytest.raises(TimeoutError) as caught:
        await requests.dispatch(Ask())
    assert caught.value is error
    assert error.__cause__ is None


async def test_requests_that_share_singleton_links_do_not_mix() -> None:
    gate = asyncio.Event()

    class Waiting(Recording):
        async def handle(self, request: Ask) -> str | None:
            if request.until == "RecordingSecond":
                await gate.wait()
            return await super().handle(request)

    container = BuiltinContainer()
    for link in (Waiting, RecordingSecond, RecordingThird):
        container.register(link, lifetime=Lifetime.SINGLETON)
    requests = dispatcher(Waiting, RecordingSecond, RecordingThird, container=container)
    slow = asyncio.create_task(requests.dispatch(Ask("RecordingSecond")))
    await asyncio.sleep(0)
    quick = await requests.dispatch(Ask("RecordingThird"))
    gate.set()
    assert (await slow).response == "RecordingSecond"
    assert quick.response == "RecordingThird"
    assert sorted([*map(str, quick.events), *map(str, (await slow).events)]) == sorted(
        ["Waiting ran", "RecordingSecond ran", "RecordingThird ran", "Waiting ran", "RecordingSecond ran"]
    )


class Other(Ask): ...


class Slow(Ask): ...


class Audit(cqrs.CORRequestHandler[Any, str]):
    """A link without a state of its own, as one would share it."""

    async def handle(self, request: Any) -> str | None:
        if isinstance(request, Slow):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return await self.next(request)


class Answering(cqrs.CORRequestHandler[Any, str]):
    async def handle(self, request: Any) -> str | None:
        return f"{type(self).__name__} answers {type(request).__name__}"


class AnswersSlow(Answering): ...


class AnswersOther(Answering): ...


class Failing(Audit):
    async def handle(self, request: Any) -> str | None:
        raise ConnectionError


class OneInstance(Audit):
    """Shared without the container's knowledge."""

    instance: Any = None

    def __new__(cls) -> Any:
        cls.instance = cls.instance or super().__new__(cls)
        return cls.instance


def singleton_audit() -> BuiltinContainer:
    return BuiltinContainer().register(Audit, lifetime=Lifetime.SINGLETON)


SHARED: dict[str, Any] = {
    "singleton": lambda: (Audit, singleton_audit()),
    "singleton in a pair": lambda: (cqrs.RequestHandlerFallback(Audit, Failing), singleton_audit()),
    "fallback of a pair": lambda: (cqrs.RequestHandlerFallback(Failing, Audit), singleton_audit()),
    "class with one instance": lambda: (OneInstance, BuiltinContainer()),
    "not shared": lambda: (Audit, BuiltinContainer()),
}


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED.keys())
async def test_a_link_in_two_chains_passes_each_request_on_in_its_own(make: Any) -> None:
    link, container = make()
    requests = RequestDispatcher(
        cqrs.RequestMap({Slow: [link, AnswersSlow], Other: [link, AnswersOther]}), container
    )
    slow, other = await asyncio.gather(requests.dispatch(Slow()), requests.dispatch(Other()))
    assert slow.response == "AnswersSlow answers Slow"
    assert other.response == "AnswersOther answers Other"


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED.keys())
async def test_a_link_that_is_last_in_one_of_its_chains_ends_that_one(make: Any) -> None:
    link, container = make()
    requests = RequestDispatcher(cqrs.RequestMap({Slow: [link, AnswersSlow], Other: [link]}), container)
    assert (await requests.dispatch(Slow())).response == "AnswersSlow answers Slow"
    assert (await requests.dispatch(Other())).response is None
    assert (await requests.dispatch(Slow())).response == "AnswersSlow answers Slow"


@pytest.mark.parametrize("lifetime", Lifetime)
async def test_a_link_may_be_twice_in_a_chain_and_may_pass_on_twice(lifetime: Lifetime) -> None:
    class Twice(cqrs.CORRequestHandler[Any, str]):
        async def handle(self, request: Any) -> str | None:
            log.append(type(self).__name__)
            return f"{await self.next(request)}, {await self.next(request)}"

    container = BuiltinContainer().register(Twice, lifetime=lifetime)
    assert (await dispatcher(Twice, Twice, Third, container=container).dispatch(Ask("Third"))).response == (
        "Third, Third, Third, Third"
    )
    assert log == ["Twice", "Twice", "Third", "Third", "Twice", "Third", "Third"]


async def test_a_shared_link_goes_on_in_its_own_chain_after_asking_another() -> None:
    class AsksOther(Audit):
        async def handle(self, request: Any) -> str | None:
            if isinstance(request, Slow):
                assert (await requests.dispatch(Other())).response == "AnswersOther answers Other"
            return await self.next(request)

    container = BuiltinContainer().register(AsksOther, lifetime=Lifetime.SINGLETON)
    requests = RequestDispatcher(
        cqrs.RequestMap({Slow: [AsksOther, AnswersSlow], Other: [AsksOther, AnswersOther]}), container
    )
    assert (await requests.dispatch(Slow())).response == "AnswersSlow answers Slow"


async def test_passing_on_outside_of_a_request_says_so() -> None:
    shared = Audit()
    container = BuiltinContainer().register_instance(Audit, shared)
    assert (await dispatcher(Audit, First, container=container).dispatch(Ask("First"))).response == "First"
    with pytest.raises(RuntimeError, match="outside of a request"):
        await shared.next(Ask())


async def test_a_link_may_send_a_request_through_its_own_chain() -> None:
    class Again(Recording):
        async def handle(self, request: Ask) -> str | None:
            if request.until == "outer":
                inner = await requests.dispatch(Ask("RecordingThird"))
                assert inner.events == ("Again ran", "RecordingThird ran")
            return await super().handle(request)

    requests = dispatcher(Again, RecordingThird)
    assert (await requests.dispatch(Ask("outer"))).events == ("Again ran", "RecordingThird ran")


async def test_a_cancelled_chain_runs_nothing_afterwards() -> None:
    class Hang(Link):
        async def handle(self, request: Ask) -> str | None:
            await asyncio.Event().wait()
            return await super().handle(request)

    task = asyncio.create_task(
        dispatcher(First, cqrs.RequestHandlerFallback(Hang, Spare), Third).dispatch(Ask())
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["First"]


async def test_nothing_of_a_failure_is_kept_alive() -> None:
    class Canary:
        pass

    canaries: list[weakref.ref[Canary]] = []

    class Fails(Recording):
        async def handle(self, request: Ask) -> str | None:
            canary = Canary()
            canaries.append(weakref.ref(canary))
            raise ConnectionError

    gc.disable()
    try:
        with pytest.raises(ConnectionError):
            await dispatcher(RecordingFirst, Fails).dispatch(Ask())
        assert canaries[0]() is None
    finally:
        gc.enable()


async def test_build_chain_links_from_left_to_right() -> None:
    links = [First(), Second(), Third()]
    head = build_chain(links)
    assert head is links[0]
    assert await head.handle(Ask("Third")) == "Third"
    assert log == ["First", "Second", "Third"]
    assert await head.handle(Ask()) is None


def test_set_next_returns_its_argument() -> None:
    second = Second()
    assert First().set_next(second) is second


def test_a_chain_needs_a_link() -> None:
    with pytest.raises(ValueError, match="at least one handler"):
        build_chain([])
