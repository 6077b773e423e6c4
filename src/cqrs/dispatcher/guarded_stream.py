"""The guarded step of streams: the same table as ``cqrs.dispatcher.guarded``, item by item.

Items that were delivered stay delivered; the fallback streams from its beginning. Only what happens while the
primary is asked for an item is its failure: what the consumer throws in, or its leaving, is not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

from cqrs.circuit_breaker.protocol import ICircuitBreaker
from cqrs.container.protocol import Resolver
from cqrs.dispatcher.answers import announce, answer_of
from cqrs.dispatcher.attempts import Attempt, Bypass, guarding_function, is_misconfigured
from cqrs.dispatcher.driven import Pump, close, driven
from cqrs.dispatcher.fallback_pair import FallbackPair, declared_attempts
from cqrs.dispatcher.guarded import link_fallback_error
from cqrs.dispatcher.handlers import HandlesStreams, may_record_events
from cqrs.dispatcher.models import FallbackAnswer
from cqrs.dispatcher.recorded import clear_events, discard_events, take_events
from cqrs.dispatcher.scope import check_resolved, factory_of, factory_of_fallback


class StreamRecord:
    """What a stream has to tell beside its items, as it goes."""

    __slots__ = ("events", "fallbacks")

    def __init__(self) -> None:
        self.events: tuple[object, ...] = ()
        self.fallbacks: tuple[FallbackAnswer, ...] = ()

    def collect(self, handler: Any) -> None:
        """Take the events of the item that ``handler`` has just yielded."""
        if handler.events:
            self.events += take_events(handler)
            clear_events(handler)
        else:
            handler.clear_events()

    def take_events(self) -> tuple[object, ...]:
        """Return the events that belong to the latest item."""
        events, self.events = self.events, ()
        return events


RunStream: TypeAlias = Callable[[Any, Any, list[Any]], AsyncGenerator[Any, None]]
"""``run(message, resolver, ran)``: the items of one handler, guarded; appends the handler to ``ran``."""

StreamStep: TypeAlias = Callable[[Any, Any, StreamRecord], AsyncIterator[Any]]
"""``step(message, resolver, record)``: the items, wherever they come from."""


def overrides_clear_events(handler: type[Any]) -> bool:
    """Tell whether instances of ``handler`` have a ``clear_events`` that does something."""
    return getattr(handler, "clear_events", None) is not HandlesStreams.clear_events


class StreamAttempt(Attempt[RunStream]):
    """One handler of a streaming step, ready to run."""

    __slots__ = ("raises_after_items",)

    def __init__(
        self, handler: type[Any], pair: FallbackPair | None, create: Callable[[], Any] | None, run: RunStream
    ) -> None:
        records_events = may_record_events(create, handler) or overrides_clear_events(handler)
        # A stream always brings a scope: opening it costs nothing until it is used.
        super().__init__(
            handler, pair, create, run, needs_scope=create is None, records_events=records_events
        )
        self.raises_after_items = getattr(pair, "after_items", "fallback") == "raise"

    def ends_with(self, error: Exception, delivered: bool) -> bool:
        """Tell whether no fallback takes over after ``error``."""
        return (delivered and self.raises_after_items) or not self.leads_to_fallback(error)


def compile_stream_attempts(container: Resolver, binding: type[Any] | FallbackPair) -> list[StreamAttempt]:
    """Return the streaming handlers of ``binding`` in the order in which they are asked.

    Raises:
        ResolutionError: the container cannot build the primary.
    """
    attempts: list[StreamAttempt] = []
    for position, (handler, pair) in enumerate(declared_attempts(binding)):
        create = (factory_of_fallback if position else factory_of)(container, handler)
        if pair is not None and pair.circuit_breaker is not None:
            run = _through_breaker(pair.circuit_breaker, handler, _generating(handler, create))
        elif create is not None:
            run = _opening(create)
        else:
            run = _generating(handler, create)
        attempts.append(StreamAttempt(handler, pair, create, run))
    return attempts


def _opening(create: Callable[[], Any]) -> RunStream:
    def run(message: Any, _: Any, ran: list[Any]) -> Any:
        handler = create()
        ran.append(handler)
        return handler.handle(message)

    return run


def _generating(handler_type: type[Any], create: Callable[[], Any] | None) -> RunStream:
    async def run(message: Any, resolver: Any, ran: list[Any]) -> AsyncGenerator[Any, None]:
        items: Any = None
        try:
            try:
                if create is None:
                    handler = await resolver.resolve(handler_type)
                    check_resolved(handler, handler_type)
                else:
                    handler = create()
                ran.append(handler)
                items = handler.handle(message)
                async for item in items:
                    yield item
            finally:
                if items is not None:
                    await close(items)
        except Exception as error:
            if is_misconfigured(error):
                raise Bypass(error) from None
            raise

    return run


def _through_breaker(breaker: ICircuitBreaker, handler: type[Any], run: RunStream) -> RunStream:
    guard = guarding_function(breaker)
    if guard is not None:
        guarded: RunStream = guard(handler, run)
        return guarded

    async def carrying(pump: Pump, message: Any, resolver: Any, ran: list[Any]) -> Any:
        try:
            return await pump(message, resolver, ran)
        except Bypass as bypass:
            # As a value: a breaker that has only ``call`` may count whatever is raised.
            return bypass

    def call(message: Any, resolver: Any, ran: list[Any]) -> AsyncGenerator[Any, None]:
        async def through_breaker(pump: Pump) -> None:
            result: Any = await breaker.call(handler, carrying, pump, message, resolver, ran)
            if type(result) is Bypass:
                raise result

        return driven(through_breaker, run)

    return call


def guarded_stream(attempts: Sequence[StreamAttempt]) -> StreamStep:
    """Return the step that asks the streaming handlers of ``attempts`` in turn."""
    direct = attempts[0].direct
    if len(attempts) == 1 and direct is not None:
        return lambda message, _, __: direct().handle(message)
    last = len(attempts) - 1

    async def step(message: Any, resolver: Any, record: StreamRecord) -> AsyncGenerator[Any, None]:
        failure: Exception | None = None
        latest: Exception | None = None
        error: Exception | None = None
        try:
            for position, attempt in enumerate(attempts):
                ran: list[Any] = []
                items: Any = None
                delivered, final, error = False, position == last, None
                try:
                    while True:
                        try:
                            if items is None:
                                items = aiter(attempt.run(message, resolver, ran))
                            item = await anext(items)
                        except StopAsyncIteration:
                            break
                        except Bypass as bypass:
                            error, final = bypass.error, True
                            break
                        except Exception as raised:
                            error, final = raised, final or attempt.ends_with(raised, delivered)
                            break
                        if not delivered:
                            delivered = True
                            if failure is not None:
                                _tell(attempts, position, message, failure, record)
                        if attempt.records_events:
                            record.collect(ran[-1])
                        yield item
                    if error is None and attempt.records_events and ran:
                        record.events += take_events(ran[-1])
                finally:
                    await close(items)
                    discard_events(ran)
                if error is None:
                    if failure is not None and not delivered:
                        _tell(attempts, position, message, failure, record)
                    return
                if latest is not None:
                    link_fallback_error(attempt, error, latest)
                if final:
                    raise error
                failure, latest = failure or error, error
        finally:
            del failure, latest, error  # their tracebacks hold this frame

    return step


def _tell(
    attempts: Sequence[StreamAttempt],
    position: int,
    message: Any,
    failure: Exception,
    record: StreamRecord,
) -> None:
    answer = answer_of(attempts, position, message, failure)
    record.fallbacks += (answer,)
    announce(answer)
