"""The consumer: from a source of messages to the handlers of their events."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from cqrs.circuit_breaker import Backoff, validation
from cqrs.consumers.hand import Hand
from cqrs.consumers.handling import EventHandling, Inbox, Mediator
from cqrs.consumers.intake import take_in
from cqrs.consumers.reading import EventReader, EventTypes
from cqrs.consumers.statistics import ConsumerStatistics
from cqrs.consumers.tracing import Tracing
from cqrs.consumers.verdicts import Judge, OnError
from cqrs.consumers.work import DeadLetters, Worker
from cqrs.deserializers.json import JsonDeserializer
from cqrs.deserializers.protocol import DeserializerFactory
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.message_brokers.receiving import MessageSource, offers

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["Consumer"]

BACKOFF = Backoff(initial=1.0, multiplier=2.0, max=60.0)
RECONNECT = Backoff(initial=0.5, multiplier=2.0, max=30.0)
CLOSING = 15.0
"""Seconds for the source to stop, to end what it waits for, and to close."""

_logger = logging.getLogger(__name__)


class Consumer:
    """Takes messages from a source and sends their events through a mediator, each at least once.

    A message is acknowledged when all handlers of its event have succeeded. When one fails, the message is
    tried again, by the broker if it can, and all its handlers run again: they must bear that. What cannot be
    read, has an unknown name, or has failed ``max_attempts`` times is put aside as a dead letter. An open
    circuit without fallback costs no attempt: the message waits until the circuit may admit it; for five
    seconds or longer in the broker, if that can, where it may lose its place. Messages of the same
    ``ordering`` are handled one after the other.

    Args:
        source: where messages come from.
        mediator: handles events: an ``EventMediator``.
        events: event name -> event type: a mapping, or an ``OutboxedEventMap``.
        deserializer: makes what reads an event type; ``JsonDeserializer`` by default.
        concurrency: most messages to handle at once, >= 1.
        max_attempts: attempts at a message, the first included, >= 1. What was delivered more than twice as
            often, and never settled, is put aside unhandled: it seems to end the process.
        backoff: seconds before the next attempt, and before the next try to put a message aside.
        dead_letter: puts a message aside, ``await dead_letter(message, reason, attempts)``; by default the
            source does.
        inbox: handles each message once: a ``cqrs.inbox.InboxProcessor``, whose ``current_session()`` gives
            handlers the session that their effects belong in. A message without identity then fails, unless
            its event has an ``event_id``. While the inbox cannot be reached, attempts fail, and are counted.
        on_error: told of each failed attempt, ``on_error(message, error, attempt)``; it returns ``"retry"``
            (or ``None``), ``"dead_letter"`` or ``"ignore"``.
        unknown: what becomes of messages with unknown names: ``"dead_letter"``, or ``"ignore"``.
        handler_timeout: seconds for the handlers of one message together, > 0; then they are cancelled, and
            the attempt has failed. ``None``: any.
        max_pending: most messages to hold, waiting ones included, >= concurrency; by default 100, or ten
            times ``concurrency`` if that is more. No more are held than the source hands over unsettled, its
            prefetch: when all of them wait, the others behind them wait as well.
        extend_interval: seconds between two notices to the broker that messages are still in work, > 0; well
            below the time after which it gives them to others (``min_idle``, ``ack_wait``).
        reconnect: seconds before the next try when the source breaks.
        stop_timeout: seconds for handlers at work when the consumer stops, >= 0; then they are cancelled.
        tracer_provider: where spans go, when OpenTelemetry is installed; ``None``: the global one.
        sleep: waits for so many seconds.
        random: numbers in [0, 1), for jitter.

    Raises:
        ConfigurationError: an argument is of the wrong kind or out of range.
    """

    def __init__(
        self,
        source: MessageSource,
        mediator: Mediator,
        events: EventTypes,
        *,
        deserializer: DeserializerFactory = JsonDeserializer,
        concurrency: int = 1,
        max_attempts: int = 5,
        backoff: Backoff = BACKOFF,
        dead_letter: DeadLetters | None = None,
        inbox: Inbox | None = None,
        on_error: OnError | None = None,
        unknown: Literal["dead_letter", "ignore"] = "dead_letter",
        handler_timeout: float | None = None,
        max_pending: int | None = None,
        extend_interval: float = 10.0,
        reconnect: Backoff = RECONNECT,
        stop_timeout: float = 30.0,
        tracer_provider: TracerProvider | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if not offers(source, MessageSource):
            raise ConfigurationTypeError(f"source must be a MessageSource, not {source!r}")
        _check_methods(mediator=(mediator, "send"), inbox=(inbox, "process"))
        _check_callable(dead_letter=dead_letter, sleep=sleep, random=random)
        if on_error is not None:
            validation.plain_function("on_error", on_error)
        _check_backoff(backoff=backoff, reconnect=reconnect)
        validation.count("concurrency", concurrency)
        validation.choice("unknown", unknown, ("dead_letter", "ignore"))
        if max_pending is None:
            max_pending = max(100, 10 * concurrency)
        if handler_timeout is not None:
            handler_timeout = validation.seconds("handler_timeout", handler_timeout)
        self._source = source
        self._reconnect = reconnect
        self._sleep = sleep
        self._random = random
        self._extend_interval = validation.seconds("extend_interval", extend_interval)
        self._stop_timeout = validation.seconds("stop_timeout", stop_timeout, strict=False)
        self._max_pending = validation.count("max_pending", max_pending, low=concurrency)
        self._concurrency = concurrency
        self._dead_letter = dead_letter
        self._reader = EventReader(events, deserializer)
        self._handling = EventHandling(mediator, inbox, handler_timeout, Tracing(tracer_provider))
        max_attempts = validation.count("max_attempts", max_attempts)
        self._judge = Judge(max_attempts, backoff, unknown, on_error, random)
        self._main: asyncio.Task[None] | None = None
        self._halt = asyncio.Event()
        self._hurry = asyncio.Event()
        self._crash: BaseException | None = None
        self._timeout = self._stop_timeout
        self.statistics = ConsumerStatistics()
        """What was done so far."""

    @property
    def is_running(self) -> bool:
        """Whether messages are taken, or the last ones still handled."""
        return self._main is not None and not self._main.done()

    async def run(self) -> None:
        """Consume until ``stop``, or until cancelled, which stops as well.

        Raises:
            ConfigurationError, ImportError: the source cannot work as it was set up.
            BaseException: a handler raised it, and it is no ``Exception``; its message is given back.
            RuntimeError: it runs already.
        """
        await self.start()
        try:
            await self._ended()
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def start(self) -> None:
        """Begin to consume in the background, also when the broker cannot be reached yet.

        Raises:
            RuntimeError: it runs already.
        """
        if self.is_running:
            raise RuntimeError("the consumer runs already")
        self._halt, self._hurry = asyncio.Event(), asyncio.Event()
        self._crash = None
        self._timeout = self._stop_timeout
        self._main = asyncio.create_task(self._supervise(), name="consumer")

    async def stop(self, timeout: float | None = None) -> None:
        """Take no new messages, let handlers at work end, give back everything else, and close the source.

        Cancelling ``stop`` cancels the handlers at once. A handler must not wait for it: it would wait for
        itself.

        Args:
            timeout: seconds for the handlers, >= 0; ``stop_timeout`` by default. Then they are cancelled, and
                their messages given back too.

        Raises:
            ConfigurationError, ImportError, BaseException: why the consumer had ended before.
        """
        if timeout is not None:
            self._timeout = validation.seconds("timeout", timeout, strict=False)
        self._halt.set()
        try:
            await self._ended()
        except asyncio.CancelledError:
            self._hurry.set()
            raise

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _ended(self) -> None:
        if self._main is not None:
            # The waiting may be cancelled, giving messages back may not.
            await asyncio.shield(self._main)

    async def _supervise(self) -> None:
        worker = Worker(
            self._source,
            self._reader,
            self._handling,
            self._judge,
            self._concurrency,
            self._dead_letter,
            self._sleep,
            self.statistics,
        )
        hand = Hand(self._source, worker, self._max_pending, self.statistics, self._crashed)
        intake = asyncio.create_task(
            take_in(self._source, hand, self._reconnect, self._sleep, self._random, self.statistics),
            name="intake of the consumer",
        )
        beat = asyncio.create_task(self._extend(hand), name="heartbeat of the consumer")
        halted = asyncio.create_task(self._halt.wait())
        try:
            await asyncio.wait({intake, beat, halted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            worker.is_stopping = True
            halted.cancel()
            await self._close("stop", self._source.stop)
            await _end(intake)
            await hand.wind_down(self._timeout, self._hurry)
            await _end(beat)
            await self._close("close", self._source.close)
        for task in (intake, beat):
            if task.done() and not task.cancelled():
                self._crash = self._crash or task.exception()
        if self._crash is not None:
            raise self._crash

    def _crashed(self, error: BaseException) -> None:
        _logger.critical("the consumer ends: %r", error)
        self._crash = self._crash or error
        self._halt.set()

    async def _extend(self, hand: Hand) -> None:
        while True:
            await self._sleep(self._extend_interval)
            await hand.extend()

    async def _close(self, what: str, method: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(CLOSING):
                await method()
        except Exception as error:
            _logger.warning("the source did not %s cleanly: %r", what, error)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    _, stubborn = await asyncio.wait({task}, timeout=CLOSING)
    if stubborn:
        _logger.error("the %s does not end though it was cancelled", task.get_name())


def _check_methods(**wanted: tuple[object, str]) -> None:
    for argument, (value, method) in wanted.items():
        if value is None and argument == "inbox":
            continue
        if isinstance(value, type) or not callable(getattr(value, method, None)):
            raise ConfigurationTypeError(f"{argument} must have `async {method}(...)`, not {value!r}")


def _check_backoff(**wanted: object) -> None:
    for argument, value in wanted.items():
        if not isinstance(value, Backoff):
            raise ConfigurationTypeError(f"{argument} must be a Backoff, not {value!r}")


def _check_callable(**wanted: object) -> None:
    for argument, value in wanted.items():
        if value is not None and not callable(value):
            raise ConfigurationError(f"{argument} must be a function, not {value!r}")
