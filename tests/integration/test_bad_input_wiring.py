"""Containers, mediators, middlewares, brokers and startup callables that are given wrongly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.events.bootstrap import bootstrap as bootstrap_events
from cqrs.exceptions import (
    ConfigurationError,
    EventCycleError,
    RequestHandlerDoesNotExist,
    RequestHandlerTypeError,
    ResolutionError,
)
from cqrs.middlewares import LoggingMiddleware, Middleware, MiddlewareChain
from cqrs.requests.bootstrap import bootstrap, bootstrap_streaming

Bootstrap = Callable[..., Any]
BOOTSTRAPS = [bootstrap, bootstrap_streaming, bootstrap_events]


class Ask(cqrs.Request):
    pass


class AskMore(Ask):
    pass


class Happened(cqrs.DomainEvent):
    number: int = 0


class Ended(cqrs.DomainEvent):
    pass


class Live(cqrs.RequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str:
        return "live"


class Spare(cqrs.RequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str:
        return "spare"


class Stream(cqrs.StreamingRequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> AsyncIterator[str]:
        yield "item"


class SpareStream(cqrs.StreamingRequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> AsyncIterator[str]:
        yield "spare item"


class Link(cqrs.CORRequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str | None:
        return "link"


class Note(cqrs.EventHandler[Happened]):
    seen: list[Happened] = []

    async def handle(self, event: Happened) -> None:
        self.seen.append(event)


def mediator(handler: Any = Live, **arguments: Any) -> cqrs.RequestMediator:
    container = arguments.pop("di_container", None) or BuiltinContainer()
    return bootstrap(container, queries_mapper=lambda mapper: mapper.bind(Ask, handler), **arguments)


async def items_of(handler: Any, **arguments: Any) -> list[Any]:
    container = arguments.pop("di_container", None) or BuiltinContainer()
    streams = bootstrap_streaming(
        container, queries_mapper=lambda mapper: mapper.bind(Ask, handler), **arguments
    )
    return [item async for item in streams.stream(Ask())]


# ---------------------------------------------------------------------- requests


class NotSent:
    pass


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (NotSent(), ["NotSent", "no handler is bound", "bind("]),
        (None, ["NoneType", "no handler is bound"]),
        (Ask, ["a class", "send an instance"]),
        (AskMore(), ["AskMore", "base Ask", "bind("]),
    ],
)
async def test_what_nobody_answers_is_named(request_: Any, words: list[str]) -> None:
    with pytest.raises(RequestHandlerDoesNotExist) as missing:
        await mediator().send(request_)

    assert isinstance(missing.value, LookupError)
    assert all(word in str(missing.value) for word in words), str(missing.value)


async def test_the_mediator_for_the_other_kind_is_named() -> None:
    with pytest.raises(RequestHandlerTypeError, match=r"Stream, bound to Ask.*StreamingRequestMediator"):
        await mediator(Stream).send(Ask())
    with pytest.raises(RequestHandlerTypeError, match=r"Live, bound to Ask.*RequestMediator\.send"):
        await items_of(Live)
    with pytest.raises(RequestHandlerTypeError, match=r"chain bound to Ask.*RequestMediator\.send"):
        await items_of([Link])


@pytest.mark.parametrize("event", [None, Happened])
async def test_what_is_no_event_is_not_taken_for_one_that_nobody_wants(event: Any) -> None:
    events = bootstrap_events(BuiltinContainer(), events_mapper=lambda mapper: mapper.bind(Happened, Note))

    with pytest.raises(ConfigurationError, match="is not an event"):
        await events.send(event)


# ---------------------------------------------------------------------- containers


class SyncContainer:
    def resolve(self, type_: type[Any]) -> Any:
        return type_()


NO_CONTAINERS = [None, 3, object(), {}, BuiltinContainer, SyncContainer()]


@pytest.mark.parametrize("container", NO_CONTAINERS)
@pytest.mark.parametrize("wire", BOOTSTRAPS)
def test_an_object_that_cannot_resolve_is_no_container(wire: Bootstrap, container: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"container.*resolve|pass an instance of the container"):
        wire(container)


@pytest.mark.parametrize("container", NO_CONTAINERS)
@pytest.mark.parametrize(
    "make",
    [
        lambda container: cqrs.RequestMediator(cqrs.RequestMap(), container),
        lambda container: cqrs.StreamingRequestMediator(cqrs.RequestMap(), container),
        lambda container: cqrs.EventMediator(cqrs.EventMap(), container),
        lambda container: cqrs.EventEmitter(cqrs.EventMap(), container),
    ],
)
def test_mediators_and_emitters_look_at_their_container(make: Callable[[Any], Any], container: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"container.*async resolve\(type\)"):
        make(container)


class Answering:
    """A container that gives the same answer for everything but the fallbacks."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def resolve(self, type_: type[Any]) -> Any:
        return type_() if type_.__name__.startswith("Spare") else self._answer


@pytest.mark.parametrize("answer", [None, object(), Live, "Live"])
@pytest.mark.parametrize("guarded", [False, True])
async def test_a_container_that_gives_no_handler_is_not_hidden_by_a_fallback(
    answer: Any, guarded: bool
) -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(1))
    container: Any = Answering(answer)
    single, stream, event = (Live, Stream, Note)
    if guarded:
        single = cqrs.RequestHandlerFallback(Live, Spare, circuit_breaker=breakers)  # type: ignore[assignment]
        stream = cqrs.RequestHandlerFallback(Stream, SpareStream, circuit_breaker=breakers)  # type: ignore[assignment]

    with pytest.raises(ResolutionError, match="the container resolved Live to"):
        await mediator(single, di_container=container).send(Ask())
    with pytest.raises(ResolutionError, match="the container resolved Stream to"):
        await items_of(stream, di_container=container)
    with pytest.raises(ResolutionError, match="the container resolved Link to"):
        await mediator([Link], di_container=container).send(Ask())
    with pytest.raises(ResolutionError, match="the container resolved Note to"):
        await cqrs.EventMediator(cqrs.EventMap({Happened: event}), container).send(Happened())
    assert all(breakers[name].state == "closed" for name in breakers)


class Database:
    pass


class NeedsDatabase(cqrs.RequestHandler[Ask, str]):
    def __init__(self, database: Database) -> None:
        pass

    async def handle(self, request: Ask) -> str:
        return "live"


class NeedsUnknown(cqrs.RequestHandler[Ask, str]):
    def __init__(self, thing) -> None:  # type: ignore[no-untyped-def]  # what is tested
        pass

    async def handle(self, request: Ask) -> str:
        return "live"


class Unfinished(cqrs.RequestHandler[Ask, str]):
    pass


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (NeedsDatabase, ["NeedsDatabase -> Database", "'database'", "register(Database)"]),
        (NeedsUnknown, ["NeedsUnknown", "'thing'", "annotation"]),
        (Unfinished, ["Unfinished", "abstract", "handle"]),
    ],
)
@pytest.mark.parametrize("with_fallback", [False, True])
async def test_a_handler_that_cannot_be_built_names_what_is_missing(
    handler: Any, words: list[str], with_fallback: bool
) -> None:
    binding = cqrs.RequestHandlerFallback(handler, Spare) if with_fallback else handler

    with pytest.raises(ResolutionError) as missing:
        await mediator(binding).send(Ask())

    assert all(word in str(missing.value) for word in words), str(missing.value)


@pytest.mark.parametrize("lifetime", ["singleton", None, True, 1])
def test_a_lifetime_that_is_none_is_not_taken_for_transient(lifetime: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"lifetime=.* of Database.*Lifetime\.SINGLETON"):
        BuiltinContainer().register(Database, lifetime=lifetime)


@pytest.mark.parametrize(("type_", "provider"), [(None, None), ("Database", None), (Database, 3)])
def test_a_provider_that_cannot_be_called_is_refused(type_: Any, provider: Any) -> None:
    with pytest.raises(ConfigurationError, match="a provider is a class or a function"):
        BuiltinContainer().register(type_, provider, lifetime=Lifetime.SINGLETON)


# ---------------------------------------------------------------------- maps, emitters, figures


@pytest.mark.parametrize("wrong", [{}, None, cqrs.RequestMap, BuiltinContainer(), cqrs.EventMap()])
@pytest.mark.parametrize("kind", [cqrs.RequestMediator, cqrs.StreamingRequestMediator])
def test_what_is_no_map_of_requests_is_refused(kind: Any, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"request_map must be .*RequestMap\(\)") as refusal:
        kind(wrong, BuiltinContainer())

    assert isinstance(refusal.value, TypeError)


@pytest.mark.parametrize("wrong", [{}, cqrs.EventMap, cqrs.RequestMap()])
def test_what_is_no_map_of_events_is_refused(wrong: Any) -> None:
    for make in (
        lambda: cqrs.EventMediator(wrong, BuiltinContainer()),
        lambda: cqrs.EventEmitter(wrong, BuiltinContainer()),
        lambda: cqrs.RequestMediator(cqrs.RequestMap(), BuiltinContainer(), event_map=wrong),
    ):
        with pytest.raises(ConfigurationError, match=r"event_map must be .*EventMap\(\)"):
            make()


@pytest.mark.parametrize("wrong", [object(), cqrs.EventEmitter, "emit"])
def test_what_cannot_emit_is_no_emitter(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"async emit\(event\)"):
        cqrs.RequestMediator(cqrs.RequestMap(), BuiltinContainer(), event_emitter=wrong)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("max_concurrent_event_handlers", value) for value in (0, -1, True, "3", 1.5, None)],
        *[("concurrent_event_handle_enable", value) for value in ("yes", "False", 1, None)],
        *[("max_event_depth", value) for value in (0, -1, True, "3", 1.5, None)],
        *[("event_errors", value) for value in ("Raise", "ignore", True, None, ["raise"])],
    ],
)
@pytest.mark.parametrize("wire", [bootstrap, bootstrap_streaming])
def test_figures_out_of_range_are_refused_with_field_and_value(
    wire: Bootstrap, field: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        wire(BuiltinContainer(), **{field: value})

    assert f"{field}={value!r} is not allowed: it must be" in str(refusal.value)


@pytest.mark.parametrize("wire", BOOTSTRAPS)
def test_a_misspelled_argument_is_named(wire: Bootstrap) -> None:
    with pytest.raises(TypeError, match="on_start_up"):
        wire(BuiltinContainer(), on_start_up=[])


# ---------------------------------------------------------------------- mappers, startup


async def async_mapper(mapper: Any) -> None:
    mapper.bind(Ask, Live)


MAPPERS: list[tuple[Bootstrap, str]] = [
    (bootstrap, "commands_mapper"),
    (bootstrap, "queries_mapper"),
    (bootstrap, "domain_events_mapper"),
    (bootstrap_streaming, "queries_mapper"),
    (bootstrap_events, "events_mapper"),
]


@pytest.mark.parametrize(("wire", "argument"), MAPPERS)
@pytest.mark.parametrize("mapper", [3, "queries", [print], cqrs.RequestMap()])
def test_a_mapper_that_is_no_function_is_refused(wire: Bootstrap, argument: str, mapper: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{argument} must be a function"):
        wire(BuiltinContainer(), **{argument: mapper})


@pytest.mark.parametrize(("wire", "argument"), MAPPERS)
def test_an_async_mapper_does_not_leave_the_map_empty(wire: Bootstrap, argument: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{argument} must not be async"):
        wire(BuiltinContainer(), **{argument: async_mapper})


@pytest.mark.parametrize(("wire", "argument"), MAPPERS)
def test_the_error_of_a_mapper_crosses_unchanged(wire: Bootstrap, argument: str) -> None:
    error = ValueError("mapper")

    def failing(_: Any) -> None:
        raise error

    with pytest.raises(ValueError, match="mapper") as raised:
        wire(BuiltinContainer(), **{argument: failing})

    assert raised.value is error


def yielding() -> Iterator[None]:
    yield


async def yielding_async() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("on_startup", "words"),
    [
        (print, "must be a list of callables"),
        (3, "must be a list of callables"),
        ([None], "must hold callables without arguments, not None"),
        ("migrate", "must hold callables without arguments, not 'm'"),
        ([yielding], "nobody would iterate a generator"),
        ([yielding_async], "nobody would iterate a generator"),
        ([lifespan], "context manager, which nobody would enter"),
    ],
)
@pytest.mark.parametrize("wire", BOOTSTRAPS)
def test_what_cannot_run_at_startup_is_refused(wire: Bootstrap, on_startup: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        wire(BuiltinContainer(), on_startup=on_startup)


def test_a_startup_callable_that_raises_ends_the_wiring() -> None:
    def failing() -> None:
        raise OSError("no migrations")

    with pytest.raises(OSError, match="no migrations"):
        mediator(on_startup=[failing])


async def test_an_async_startup_callable_that_raises_reaches_each_caller_until_it_works() -> None:
    attempts = 0

    async def connect() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise OSError(f"refused {attempts}")

    requests = mediator(on_startup=[connect])

    for attempt in (1, 2):
        with pytest.raises(OSError, match=f"refused {attempt}"):
            await requests.send(Ask())
    assert await requests.send(Ask()) == "live"
    assert await requests.send(Ask()) == "live"
    assert attempts == 3


# ---------------------------------------------------------------------- middlewares


class NeedsArgument(Middleware):
    def __init__(self, limit: int) -> None:
        self.limit = limit

    async def __call__(self, request: Any, handle: Any) -> Any:
        return await handle(request)


class Abstract(Middleware):
    pass


class IdleAsync(Middleware):
    async def __call__(self, request: Any, handle: Any) -> Any:
        raise PermissionError("strangers")

    async def is_idle(self) -> bool:
        return False


async def through(request: Any, handle: Any) -> Any:
    return await handle(request)


@pytest.mark.parametrize(
    ("middlewares", "words"),
    [
        ([None], "must be callable as `await middleware"),
        ([3], "must be callable as `await middleware"),
        (["log"], "must be callable as `await middleware"),
        (through, "must be given as a list"),
        (LoggingMiddleware(), "must be given as a list"),
        ([NeedsArgument], "NeedsArgument cannot be made without arguments.*give an instance"),
        ([Abstract], "Abstract cannot be made without arguments"),
        ([IdleAsync], "IdleAsync.is_idle must not be async"),
    ],
)
@pytest.mark.parametrize("wire", BOOTSTRAPS)
def test_what_is_no_middleware_is_refused(wire: Bootstrap, middlewares: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refusal:
        wire(BuiltinContainer(), middlewares=middlewares)

    assert isinstance(refusal.value, TypeError)


async def test_a_chain_is_a_list_of_middlewares() -> None:
    calls: list[str] = []

    async def first(request: Any, handle: Any) -> Any:
        calls.append("first")
        return await handle(request)

    async def second(request: Any, handle: Any) -> Any:
        calls.append("second")
        return await handle(request)

    assert await mediator(middlewares=MiddlewareChain([first, second])).send(Ask()) == "live"
    assert calls == ["first", "second"]


def test_a_list_is_no_middleware_chain() -> None:
    with pytest.raises(ConfigurationError, match="middleware_chain must be a MiddlewareChain"):
        cqrs.RequestMediator(cqrs.RequestMap(), BuiltinContainer(), None, [through])  # type: ignore[arg-type]


class Recording(cqrs.RequestHandler[Ask, str]):
    @property
    def events(self) -> list[object]:
        return [Happened(number=1)]

    async def handle(self, request: Ask) -> str:
        return "recorded"


@pytest.mark.parametrize("calls", [0, 1, 2])
async def test_a_middleware_decides_how_often_the_handler_runs(calls: int) -> None:
    async def repeated(request: Any, handle: Any) -> Any:
        response = "instead"
        for _ in range(calls):
            response = await handle(request)
        return response

    Note.seen.clear()
    requests = mediator(
        Recording,
        middlewares=[repeated],
        domain_events_mapper=lambda mapper: mapper.bind(Happened, Note),
    )

    assert await requests.send(Ask()) == ("recorded" if calls else "instead")
    assert len(Note.seen) == calls


# ---------------------------------------------------------------------- brokers


class Told(cqrs.NotificationEvent[dict[str, int]]):
    pass


class Tells(cqrs.RequestHandler[Ask, str]):
    @property
    def events(self) -> list[object]:
        return [Told(event_name="told", payload={})]

    async def handle(self, request: Ask) -> str:
        return "told"


class SyncBroker:
    def send_message(self, message: Any) -> None:
        pass


class EmptyBroker:
    """A broker that keeps what it was sent, and is falsy as long as that is nothing."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def __len__(self) -> int:
        return len(self.sent)

    async def send_message(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("broker", [3, 0, object(), "amqp://", SyncBroker()])
@pytest.mark.parametrize("wire", BOOTSTRAPS)
def test_what_cannot_send_is_no_broker(wire: Bootstrap, broker: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"async send_message\(message\)"):
        wire(BuiltinContainer(), message_broker=broker)


async def test_a_broker_without_messages_is_a_broker() -> None:
    broker = EmptyBroker()

    await mediator(Tells, message_broker=broker).send(Ask())

    assert [message.message_name for message in broker.sent] == ["told"]


@pytest.mark.parametrize("event_errors", ["raise", "collect", "log"])
async def test_the_error_of_a_broker_is_not_swallowed(
    event_errors: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Down:
        async def send_message(self, message: Any) -> None:
            raise ConnectionError("broker away")

    requests = mediator(Tells, message_broker=Down(), event_errors=event_errors)

    if event_errors == "log":
        assert await requests.send(Ask()) == "told"
        assert "broker away" in caplog.text
    else:
        with pytest.raises(ConnectionError if event_errors == "raise" else ExceptionGroup):
            await requests.send(Ask())


async def test_a_notification_without_a_broker_says_where_one_goes() -> None:
    emitter = cqrs.EventEmitter(cqrs.EventMap(), BuiltinContainer())

    with pytest.raises(RuntimeError, match=r"Told.*no message broker.*bootstrap as message_broker"):
        await emitter.emit(Told(event_name="told", payload={}))


# ---------------------------------------------------------------------- events of handlers


def recording(recorded: Any) -> type[cqrs.RequestHandler[Ask, str]]:
    class Records(cqrs.RequestHandler[Ask, str]):
        @property
        def events(self) -> Any:
            if isinstance(recorded, Exception):
                raise recorded
            return recorded

        async def handle(self, request: Ask) -> str:
            return "done"

    return Records


@pytest.mark.parametrize("with_fallback", [False, True])
@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (5, "Records.events must be a sequence of events, not 5"),
        ("Happened", "Records.events must be a sequence of events, not 'Happened'"),
        ({"event": 1}, "Records.events must be a sequence of events"),
        (Happened(number=7), "Records.events must be a sequence of events, not Happened"),
        ([Happened], "is not an event: give an instance"),
        ([None], "None is not an event"),
    ],
)
async def test_events_that_are_none_are_not_lost(recorded: Any, words: str, with_fallback: bool) -> None:
    handler: Any = recording(recorded)
    binding = cqrs.RequestHandlerFallback(handler, Spare) if with_fallback else handler

    with pytest.raises(ConfigurationError, match=words):
        await mediator(binding, domain_events_mapper=lambda mapper: None).send(Ask())


@pytest.mark.parametrize("with_fallback", [False, True])
async def test_events_that_raise_are_not_a_failure_of_the_handler(with_fallback: bool) -> None:
    error = KeyError("events")
    handler: Any = recording(error)
    binding = cqrs.RequestHandlerFallback(handler, Spare) if with_fallback else handler

    with pytest.raises(KeyError) as raised:
        await mediator(binding).send(Ask())

    assert raised.value is error


@pytest.mark.parametrize("recorded", [None, [], (), {Happened()}, iter([Happened()])])
async def test_events_may_be_any_collection(recorded: Any) -> None:
    assert await mediator(recording(recorded)).send(Ask()) == "done"


class Fails(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        raise ValueError("handler of an event")


class Cycles(cqrs.EventHandler[Happened]):
    @property
    def events(self) -> list[object]:
        return [Ended()]

    async def handle(self, event: Happened) -> None:
        pass


class CyclesBack(cqrs.EventHandler[Ended]):
    @property
    def events(self) -> list[object]:
        return [Happened()]

    async def handle(self, event: Ended) -> None:
        pass


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("event_errors", ["raise", "collect", "log"])
async def test_a_cycle_of_events_is_named_and_hides_no_other_error(
    event_errors: str, parallel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def events(mapper: cqrs.EventMap) -> None:
        if event_errors != "raise":
            mapper.bind(Happened, Fails)
        mapper.bind(Happened, Cycles)
        mapper.bind(Ended, CyclesBack)

    requests = mediator(
        Recording,
        domain_events_mapper=events,
        event_errors=event_errors,
        max_event_depth=5,
        max_concurrent_event_handlers=3,
        concurrent_event_handle_enable=parallel,
    )

    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(EventCycleError, match="Happened -> Ended -> Happened"),
    ):
        await asyncio.wait_for(requests.send(Ask()), 10)

    assert ("handler of an event" in caplog.text) is (event_errors != "raise")


class Stubborn(cqrs.EventHandler[Happened]):
    """Fails for the first event, and does not let itself be cancelled for the others."""

    begun: list[int] = []
    failing = True

    async def handle(self, event: Happened) -> None:
        self.begun.append(event.number)
        if event.number > 1:
            return
        try:
            await asyncio.sleep(0)
            if event.number == 0 and self.failing:
                raise ValueError("first")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass


@pytest.mark.parametrize("failing", [True, False])
async def test_a_handler_that_swallows_its_cancellation_does_not_keep_a_dead_run_going(
    failing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stubborn, "begun", [])
    monkeypatch.setattr(Stubborn, "failing", failing)
    requests = mediator(
        recording([Happened(number=number) for number in range(6)]),
        domain_events_mapper=lambda mapper: mapper.bind(Happened, Stubborn),
        max_concurrent_event_handlers=2,
        concurrent_event_handle_enable=True,
    )

    sending = asyncio.create_task(requests.send(Ask()))
    for _ in range(10):
        await asyncio.sleep(0)
    if not failing:
        sending.cancel()

    with pytest.raises(ValueError if failing else asyncio.CancelledError):
        await asyncio.wait_for(sending, 10)
    assert Stubborn.begun == [0, 1]
