"""The guarded step: what the integration tests' table of situations leaves open."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, Verdict
from cqrs.container import BuiltinContainer
from cqrs.dispatcher.request import RequestDispatcher
from cqrs.exceptions import ResolutionError
from tests.unit.dispatcher.breakers import CallBreaker, GuardBreaker, NaiveBreaker, Rejected


class Ask:
    pass


class Happened:
    pass


class Script:
    """What the handlers of a test do, by class name."""

    def __init__(self) -> None:
        self.errors: dict[str, BaseException] = {}
        self.calls: list[str] = []


SCRIPT = Script()


@pytest.fixture(autouse=True)
def script() -> Script:
    SCRIPT.errors = {}
    SCRIPT.calls = []
    return SCRIPT


class Scripted(cqrs.RequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str:
        name = type(self).__name__
        SCRIPT.calls.append(name)
        if name in SCRIPT.errors:
            raise SCRIPT.errors[name]
        return name


class A(Scripted): ...


class B(Scripted): ...


class C(Scripted): ...


class Resolving:
    """A container with nothing but ``resolve``; knows singletons and what it cannot build."""

    def __init__(self, **known: Any) -> None:
        self.known = known
        self.resolved: list[str] = []

    async def resolve(self, type_: type[Any]) -> Any:
        self.resolved.append(type_.__name__)
        answer = self.known.get(type_.__name__, type_)
        if isinstance(answer, Exception):
            raise answer
        return answer() if isinstance(answer, type) else answer


def dispatcher(binding: Any, container: Any = None) -> RequestDispatcher:
    return RequestDispatcher(cqrs.RequestMap({Ask: binding}), container or Resolving())


async def test_a_chain_of_fallbacks_is_asked_in_turn_and_tells_who_answered(script: Script) -> None:
    script.errors = {"A": ConnectionError("a"), "B": TimeoutError("b")}
    pair = cqrs.RequestHandlerFallback(
        A, cqrs.RequestHandlerFallback(B, C, (TimeoutError,)), (ConnectionError,)
    )
    result = await dispatcher(pair).dispatch(Ask())
    assert result.response == "C"
    assert script.calls == ["A", "B", "C"]
    assert result.fallback is not None
    assert result.fallback.primary is A
    assert result.fallback.handler is C
    assert result.fallback.position == 2
    assert result.fallback.reason == "error"
    assert (result.fallback.error_type, result.fallback.error) == (ConnectionError, "a")
    assert result.metadata == {"fallbacks": (result.fallback,)}


async def test_when_all_fail_each_error_has_the_one_before_as_its_cause(script: Script) -> None:
    a, b, c = (script.errors.setdefault(name, ConnectionError(name)) for name in "ABC")
    pair = cqrs.RequestHandlerFallback(A, cqrs.RequestHandlerFallback(B, C))
    with pytest.raises(ConnectionError) as caught:
        await dispatcher(pair).dispatch(Ask())
    assert caught.value is c
    assert c.__cause__ is b
    assert b.__cause__ is a
    assert a.__cause__ is None


async def test_a_fallback_in_the_middle_that_fails_otherwise_ends_the_chain(script: Script) -> None:
    script.errors = {"A": ConnectionError("a"), "B": ValueError("b")}
    pair = cqrs.RequestHandlerFallback(A, cqrs.RequestHandlerFallback(B, C, (TimeoutError,)))
    with pytest.raises(ValueError, match="b") as caught:
        await dispatcher(pair).dispatch(Ask())
    assert caught.value.__cause__ is script.errors["A"]
    assert script.calls == ["A", "B"]


async def test_a_fallback_that_raises_the_primarys_error_makes_no_circle(script: Script) -> None:
    script.errors["A"] = script.errors["B"] = error = ConnectionError("shared")
    with pytest.raises(ConnectionError) as caught:
        await dispatcher(cqrs.RequestHandlerFallback(A, B)).dispatch(Ask())
    assert caught.value is error
    assert error.__cause__ is None


async def test_each_fallback_of_a_chain_has_a_circuit_of_its_own(script: Script) -> None:
    script.errors = {"A": ConnectionError("a"), "B": ConnectionError("b")}
    breaker = CallBreakers()
    inner = cqrs.RequestHandlerFallback(B, C, (), breaker)
    pair = cqrs.RequestHandlerFallback(A, inner, (), breaker)
    requests = dispatcher(pair)
    for _ in range(4):
        assert (await requests.dispatch(Ask())).response == "C"
    assert script.calls == ["A", "B", "C"] * 2 + ["C"] * 2


class CallBreakers:
    """One ``CallBreaker`` per identifier, as the protocol demands."""

    def __init__(self) -> None:
        self.breakers: dict[Any, CallBreaker] = {}

    async def call(self, identifier: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.breakers.setdefault(identifier, CallBreaker()).call(
            identifier, func, *args, **kwargs
        )

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        return isinstance(exc, Rejected)


async def test_a_breaker_is_asked_to_guard_once_and_by_the_handlers_class() -> None:
    breaker = GuardBreaker()
    requests = dispatcher(cqrs.RequestHandlerFallback(A, B, (), breaker))
    for _ in range(5):
        await requests.dispatch(Ask())
    assert breaker.guarded == [A]
    assert breaker.identifiers == {A}
    assert breaker.outcomes == ["success"] * 5


async def test_attributes_that_an_object_makes_up_are_no_guard() -> None:
    class Inventive(CallBreaker):
        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    breaker = Inventive()
    assert (await dispatcher(cqrs.RequestHandlerFallback(A, B, (), breaker)).dispatch(Ask())).response == "A"
    assert breaker.outcomes == ["success"]


@pytest.mark.parametrize("kind", [CallBreaker, NaiveBreaker, GuardBreaker])
async def test_a_missing_registration_is_neither_counted_nor_answered(kind: Any, script: Script) -> None:
    missing = ResolutionError("A needs an unknown Database")
    breaker = kind()
    container = Resolving(A=missing)
    requests = dispatcher(cqrs.RequestHandlerFallback(A, B, (), breaker), container)
    for _ in range(5):
        with pytest.raises(ResolutionError) as caught:
            await requests.dispatch(Ask())
        assert caught.value is missing
    assert not breaker.is_open
    assert "failure" not in breaker.outcomes
    assert script.calls == []
    assert container.resolved == ["A"] * 5


async def test_a_missing_registration_leaves_a_native_circuit_closed() -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=1))
    requests = dispatcher(
        cqrs.RequestHandlerFallback(A, B, (), breakers), Resolving(A=ResolutionError("unknown"))
    )
    with pytest.raises(ResolutionError):
        await requests.dispatch(Ask())
    (name,) = breakers
    snapshot = breakers[name].snapshot()
    assert (snapshot.failed, snapshot.in_flight) == (0, 0)


class Unbuildable(Scripted):
    """What it depends on turns out to be missing when it is built."""

    def __init__(self) -> None:
        raise ResolutionError("nobody registered Database")


class Trusted(GuardBreaker):
    """Says that it ignores missing registrations, and does."""

    ignores_resolution_errors = True

    def __init__(self) -> None:
        super().__init__(threshold=1)
        self.seen: list[type[BaseException]] = []

    async def call(self, identifier: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await func(*args, **kwargs)
        except BaseException as error:
            self.seen.append(type(error))
            raise


@pytest.mark.parametrize("kind", [CallBreaker, NaiveBreaker, GuardBreaker])
async def test_a_missing_registration_is_hidden_from_breakers_where_nothing_is_awaited(
    kind: Any, script: Script
) -> None:
    breaker = kind(1)
    requests = dispatcher(cqrs.RequestHandlerFallback(Unbuildable, B, (), breaker), BuiltinContainer())
    for _ in range(3):
        with pytest.raises(ResolutionError, match="Database"):
            await requests.dispatch(Ask())
    assert not breaker.is_open
    assert "failure" not in breaker.outcomes
    assert script.calls == []


@pytest.mark.parametrize("container", [BuiltinContainer, Resolving])
async def test_a_breaker_that_ignores_missing_registrations_may_be_shown_them(
    container: Any, script: Script
) -> None:
    breaker = Trusted()
    requests = dispatcher(cqrs.RequestHandlerFallback(Unbuildable, B, (), breaker), container())
    with pytest.raises(ResolutionError, match="Database"):
        await requests.dispatch(Ask())
    assert (breaker.seen == [ResolutionError]) is (container is BuiltinContainer)
    assert script.calls == []


async def test_no_rule_of_a_native_policy_makes_a_missing_registration_a_failure(script: Script) -> None:
    breakers = CircuitBreakers(
        CircuitBreakerPolicy.consecutive(
            threshold=1, record=lambda error: True, classify=lambda outcome: Verdict.FAILURE
        )
    )
    requests = dispatcher(cqrs.RequestHandlerFallback(Unbuildable, B, (), breakers), BuiltinContainer())
    for _ in range(3):
        with pytest.raises(ResolutionError, match="Database"):
            await requests.dispatch(Ask())
    (name,) = breakers
    assert (breakers[name].snapshot().failed, breakers[name].snapshot().ignored) == (0, 3)
    assert script.calls == []


async def test_a_constructor_that_fails_is_a_failure_of_the_handler(script: Script) -> None:
    breaker = CallBreaker()
    requests = dispatcher(
        cqrs.RequestHandlerFallback(A, B, (ConnectionError,), breaker),
        Resolving(A=ConnectionError("no pool")),
    )
    assert (await requests.dispatch(Ask())).response == "B"
    assert breaker.outcomes == ["failure"]


async def test_a_fallback_that_cannot_be_built_disturbs_no_healthy_primary(script: Script) -> None:
    missing = ResolutionError("B needs an unknown Cache")
    requests = dispatcher(cqrs.RequestHandlerFallback(A, B), Resolving(B=missing))
    assert (await requests.dispatch(Ask())).response == "A"
    script.errors["A"] = ConnectionError("a")
    with pytest.raises(ResolutionError) as caught:
        await requests.dispatch(Ask())
    assert caught.value is missing
    assert missing.__cause__ is script.errors["A"]


async def test_a_missing_registration_of_a_fallback_does_not_lead_to_the_next(script: Script) -> None:
    script.errors["A"] = ConnectionError("a")
    pair = cqrs.RequestHandlerFallback(A, cqrs.RequestHandlerFallback(B, C))
    with pytest.raises(ResolutionError):
        await dispatcher(pair, Resolving(B=ResolutionError("unknown"))).dispatch(Ask())
    assert script.calls == ["A"]


async def test_an_error_group_is_an_ordinary_exception(script: Script) -> None:
    script.errors["A"] = ExceptionGroup("both", [ConnectionError("x"), TimeoutError("y")])
    assert (await dispatcher(cqrs.RequestHandlerFallback(A, B)).dispatch(Ask())).response == "B"
    with pytest.raises(ExceptionGroup):
        await dispatcher(cqrs.RequestHandlerFallback(A, B, (ConnectionError,))).dispatch(Ask())


class Records(cqrs.RequestHandler[Ask, str]):
    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    async def handle(self, request: Ask) -> str:
        self.recorded.append(f"{type(self).__name__}{len(self.recorded)}")
        if type(self).__name__ in SCRIPT.errors:
            raise SCRIPT.errors[type(self).__name__]
        return type(self).__name__


class R1(Records): ...


class R2(Records): ...


@pytest.mark.parametrize("breaker", [None, CallBreaker(99), GuardBreaker(99)])
@pytest.mark.parametrize("singletons", [False, True])
async def test_a_failed_handlers_events_are_never_delivered(
    breaker: Any, singletons: bool, script: Script
) -> None:
    container = Resolving(R1=R1(), R2=R2()) if singletons else Resolving()
    requests = dispatcher(cqrs.RequestHandlerFallback(R1, R2, (), breaker), container)
    script.errors["R1"] = ConnectionError("after recording")
    assert (await requests.dispatch(Ask())).events == ("R20",)
    del script.errors["R1"]
    assert (await requests.dispatch(Ask())).events == (("R11",) if singletons else ("R10",))


async def test_a_failed_plain_handlers_events_are_never_delivered(script: Script) -> None:
    requests = dispatcher(R1, Resolving(R1=R1()))
    script.errors["R1"] = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await requests.dispatch(Ask())
    del script.errors["R1"]
    assert (await requests.dispatch(Ask())).events == ("R11",)


@pytest.mark.parametrize("container", [BuiltinContainer, Resolving])
@pytest.mark.parametrize("breaker", [None, CircuitBreakers(CircuitBreakerPolicy.consecutive(99))])
async def test_nothing_of_a_failure_is_kept_alive(breaker: Any, container: Any) -> None:
    class Canary:
        pass

    canaries: list[weakref.ref[Canary]] = []

    class Fails(cqrs.RequestHandler[Ask, str]):
        async def handle(self, request: Ask) -> str:
            canary = Canary()
            canaries.append(weakref.ref(canary))
            raise ConnectionError("primary")

    class FailsToo(Fails): ...

    requests = dispatcher(cqrs.RequestHandlerFallback(Fails, B, (), breaker), container())
    failing = dispatcher(cqrs.RequestHandlerFallback(Fails, FailsToo, (), breaker), container())
    gc.disable()
    try:
        await requests.dispatch(Ask())
        with pytest.raises(ConnectionError):
            await failing.dispatch(Ask())
        assert [canary() for canary in canaries] == [None] * 3, "reference cycles"
    finally:
        gc.enable()


async def test_a_breaker_that_calls_twice_delivers_the_events_of_the_last_call(script: Script) -> None:
    class Retrying(CallBreaker):
        async def call(self, identifier: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await func(*args, **kwargs)
            except ConnectionError:
                del SCRIPT.errors["R1"]
                return await func(*args, **kwargs)

    script.errors["R1"] = ConnectionError("once")
    result = await dispatcher(cqrs.RequestHandlerFallback(R1, R2, (), Retrying())).dispatch(Ask())
    assert (result.response, result.events) == ("R1", ("R10",))


async def test_a_breaker_that_answers_itself_is_believed(script: Script) -> None:
    class Caching(CallBreaker):
        async def call(self, identifier: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
            return "cached"

    result = await dispatcher(cqrs.RequestHandlerFallback(R1, R2, (), Caching())).dispatch(Ask())
    assert (result.response, result.events) == ("cached", ())
    assert script.calls == []
