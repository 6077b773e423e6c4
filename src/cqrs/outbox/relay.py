"""The background service that publishes what waits in the outbox."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import time
from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cqrs._sql.errors import in_short
from cqrs._sql.sessions import SessionFactory, check_session_factory
from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.protocol import ICircuitBreaker
from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.connecting import not_cancelled
from cqrs.message_brokers.protocol import MessageBroker
from cqrs.outbox.attempts import DEFAULT_BACKOFF, DEFAULT_MAX_ATTEMPTS
from cqrs.outbox.codec import check_compressor
from cqrs.outbox.delivery import Sender
from cqrs.outbox.listening import Listener, can_listen
from cqrs.outbox.models import OutboxModel
from cqrs.outbox.notifications import channel_of
from cqrs.outbox.polling import Polling
from cqrs.outbox.preparation import Preparation
from cqrs.outbox.producer import check_message_broker
from cqrs.outbox.relay_store import RelayStore
from cqrs.outbox.settings import RelaySettings, checked_lease, checked_topics
from cqrs.outbox.statistics import RelayStatistics
from cqrs.outbox.turn import Turn, TurnResult

if TYPE_CHECKING:
    from cqrs.compressors.protocol import Compressor

__all__ = ["OutboxRelay"]

logger = logging.getLogger(__name__)

DEFAULT_PAUSE = Backoff(initial=1.0, multiplier=2.0, max=30.0, jitter=0.2)


class OutboxRelay:
    """Publishes the rows of an outbox, at least once each; any number of relays may share an outbox.

    ::

        async with OutboxRelay(async_sessionmaker(engine), broker):
            ...  # serve

    A failed row is tried again after ``backoff``, and becomes a dead letter after ``max_attempts``. A row
    that cannot be read, or that the broker refuses for good, becomes one at once. While the broker as a whole
    cannot be reached, no attempts are counted: the relay pauses. So a message that always times out, while
    there is no other one to tell it from an outage, is tried for as long as that lasts, every 30 s at the
    latest, and logged each time: an outage of an hour must not make dead letters of all payments. It is
    counted as soon as something else is sent, and never holds that up. Errors of the
    database are logged and waited out. A message has the id of its event at every attempt, so that consumers
    can recognise it.

    Rows of the same topic and key are sent in the order of their numbers, whichever relays send them: while
    one is leased or waits for its next attempt, those after it wait too; a dead letter lets them go on. That
    holds as far as ``send_messages`` of the broker keeps it, and up to messages that are sent again. Numbers
    are given when rows are written: of two transactions at the same time, either may come first.

    Args:
        session_factory: opens sessions, best an ``async_sessionmaker``.
        message_broker: takes the messages; all of a batch at once when it has ``send_messages``.
        compressor: the one with which the rows were written.
        batch_size: rows leased at once; 1 to 10 000.
        poll_interval: seconds between looks at the outbox while there is something to do; > 0.
        max_poll_interval: seconds to which that grows while there is nothing; at least ``poll_interval``.
        lease_seconds: seconds after which another relay may take rows over; > 0.
        max_attempts: failed attempts that make a dead letter; at least 1.
        backoff: the waits between attempts; by default 5, 20, 80, 320 s, less up to a fifth.
        topics: publish only these; ``None``: all.
        concurrency: messages under way at once, for a broker without ``send_messages``; 1 to 1000. 1 keeps
            the order of all rows of a batch.
        send_timeout: seconds for one call of the broker; by default a third of ``lease_seconds``, which must
            be longer.
        circuit_breaker: a ``CircuitBreaker``, or a registry of them, that guards the broker. Rejections count
            as no attempts, and the relay waits as long as they say.
        pause: the waits while the broker, or the database, is not available; by default from 1 to 30 s.
        validate: check before sending that a payload is one of the registered type. ``False`` saves the time
            and sends any JSON object of a registered name.
        listen: wake at once when rows of its topics are committed, where the database tells (PostgreSQL by
            asyncpg). It takes one connection besides the pool.
        clock: monotonic clock in seconds.
        sleep: waits for a number of seconds.
        random: numbers in [0, 1) for the jitter of waits.

    Raises:
        ConfigurationError: an argument is of the wrong kind or out of range.

    Attributes:
        statistics: what the relay has done so far.
    """

    def __init__(
        self,
        session_factory: SessionFactory,
        message_broker: MessageBroker,
        *,
        compressor: Compressor | None = None,
        batch_size: int = 500,
        poll_interval: float = 1.0,
        max_poll_interval: float = 5.0,
        lease_seconds: float = 30.0,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        backoff: Backoff = DEFAULT_BACKOFF,
        topics: Collection[str] | None = None,
        concurrency: int = 10,
        send_timeout: float | None = None,
        circuit_breaker: CircuitBreaker | ICircuitBreaker | None = None,
        pause: Backoff = DEFAULT_PAUSE,
        validate: bool = True,
        listen: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        check_session_factory(session_factory, "OutboxRelay")
        check_message_broker(message_broker)
        check_compressor(compressor)
        validation.clock_and_random(clock, random)
        lease, timeout = checked_lease(lease_seconds, send_timeout)
        settings = RelaySettings(
            batch_size=batch_size,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
            lease_seconds=lease,
            max_attempts=max_attempts,
            backoff=backoff,
            pause=pause,
            topics=checked_topics(topics),
            concurrency=concurrency,
            send_timeout=timeout,
            validate=validate,
        )
        self.statistics = RelayStatistics()
        self._store = RelayStore(session_factory, settings, self.statistics)
        sender = Sender(
            message_broker,
            concurrency=concurrency,
            send_timeout=timeout,
            circuit_breaker=circuit_breaker,
            clock=clock,
        )
        preparation = Preparation(compressor, validate)
        self._turn = Turn(
            self._store,
            sender,
            preparation,
            settings,
            self.statistics,
            clock=clock,
            sleep=sleep,
            random=random,
        )
        self._polling = Polling(settings, random)
        self._topics = settings.topics
        self._listen = listen
        self._sleep = sleep
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Event | None = None
        self._wake: asyncio.Event | None = None

    async def run_once(self) -> TurnResult:
        """Publish one batch, and return what was met; for programs with a loop of their own.

        Raises:
            Exception: an error of the database.
        """
        return await self._turn.make()

    async def run(self) -> None:
        """Publish until ``stop`` is called, or this task is cancelled.

        Raises:
            ConfigurationError: the relay runs already.
        """
        task = self.start()
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not task.cancelled():
            task.result()

    def start(self) -> asyncio.Task[None]:
        """Run in a task of its own, and return it; within a running event loop.

        Raises:
            ConfigurationError: the relay runs already.
        """
        if self.is_running:
            raise ConfigurationError("this OutboxRelay runs already; one object makes one relay")
        self._stopping, self._wake = asyncio.Event(), asyncio.Event()
        work = self._run(self._stopping, self._wake)
        self._task = asyncio.get_running_loop().create_task(work, name="cqrs.outbox.relay")
        return self._task

    async def stop(self, timeout: float = 10.0) -> None:
        """Let the batch in work end, then stop; nothing happens if the relay does not run.

        Args:
            timeout: seconds after which the batch is cut off; rows that were not sent are given back.
        """
        seconds = validation.seconds("timeout", timeout, strict=False)
        task = self._task
        if task is None or self._stopping is None:
            return
        self._stopping.set()
        if task is asyncio.current_task():
            return  # asked for by the broker, within the batch that is to end
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def is_running(self) -> bool:
        """Whether the relay runs now."""
        return self._task is not None and not self._task.done()

    async def _run(self, stopping: asyncio.Event, wake: asyncio.Event) -> None:
        listening = self._start_listening()
        try:
            while not stopping.is_set():
                wake.clear()
                seconds = await self._work()
                await self._rest(seconds, [stopping] if self._polling.is_paused else [stopping, wake])
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.wait({listening})

    async def _work(self) -> float:
        """Make a turn; return the seconds to wait after it."""
        try:
            async with not_cancelled():  # a driver that is closed must not end this silently
                result = await self._turn.make()
        except Exception as error:
            self.statistics.errors += 1
            pause = self._polling.after_error()
            logger.warning("the outbox cannot be read, next attempt in %.1f s: %s", pause, in_short(error))
            return pause
        return self._polling.after(result)

    async def _rest(self, seconds: float, events: list[asyncio.Event]) -> None:
        """Wait until the time is over or one of the events happens."""
        if not seconds or any(event.is_set() for event in events):
            await asyncio.sleep(0)
            return
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait()) for event in events]
        waits.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _start_listening(self) -> asyncio.Task[None] | None:
        engine = self._store.engine() if self._listen else None
        if engine is None or not can_listen(engine):
            return None
        channel = channel_of(OutboxModel.__table__)
        listener = Listener(engine, channel, self._heard, sleep=self._sleep, random=self._random)
        return asyncio.get_running_loop().create_task(listener.run(), name="cqrs.outbox.listener")

    def _heard(self, topic: str) -> None:
        if topic and self._topics is not None and topic not in self._topics:
            return
        self.statistics.wakes += 1
        self._polling.woken()
        if self._wake is not None:
            self._wake.set()
