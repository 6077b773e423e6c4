"""The life of one message in hand: attempts, pauses, and how it is settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from cqrs.consumers.handling import EventHandling
from cqrs.consumers.reading import EventReader
from cqrs.consumers.statistics import ConsumerStatistics
from cqrs.consumers.verdicts import Judge, Verdict, fields
from cqrs.exceptions import DeserializationError
from cqrs.message_brokers.receiving import (
    MessageSource,
    PostponingSource,
    ReceivedMessage,
    RevocableSource,
    offers,
)

__all__ = ["DeadLetters", "Work", "Worker"]

DeadLetters: TypeAlias = Callable[[ReceivedMessage, str, int], Awaitable[object]]
"""Puts a message aside durably, with the reason and the number of attempts."""

ACK_TRIES = 3

LONG = 5.0
"""Seconds from which on a message that waits for a circuit goes back to a broker that can deliver later."""

_logger = logging.getLogger(__name__)


class Work:
    """A message in hand.

    Attributes:
        attempt: number of the attempt that is next or under way.
        state: ``"waiting"``: it can be given back at any moment.
        verdict: what is to be done, when that is known.
        rejections: attempts in a row that circuits did not let through.
        is_over: settled, or left to the broker: nothing is to be done.
        is_dropped: given back before it was over.
        task: what works on it, once it has begun.
    """

    __slots__ = ("attempt", "is_dropped", "is_over", "message", "rejections", "state", "task", "verdict")

    def __init__(self, message: ReceivedMessage) -> None:
        self.message = message
        self.attempt = max(1, message.attempt)
        self.state: Literal["waiting", "handling", "settling"] = "waiting"
        self.verdict: Verdict | None = None
        self.rejections = 0
        self.is_over = self.is_dropped = False
        self.task: asyncio.Task[None] | None = None

    @property
    def has_crashed(self) -> bool:
        """Whether its task has ended with what no handler may raise."""
        task = self.task
        return task is not None and task.done() and not task.cancelled() and task.exception() is not None


class Worker:
    """Works on messages; never on more than ``concurrency`` at once, pauses not counted.

    Args:
        source: is told what became of each message.
        reader: makes events.
        handling: handles events.
        judge: decides.
        concurrency: most handlers at once.
        dead_letters: where messages are put aside; ``None``: the source does it.
        sleep: waits.
        statistics: is counted in.
    """

    def __init__(
        self,
        source: MessageSource,
        reader: EventReader,
        handling: EventHandling,
        judge: Judge,
        concurrency: int,
        dead_letters: DeadLetters | None,
        sleep: Callable[[float], Awaitable[object]],
        statistics: ConsumerStatistics,
    ) -> None:
        self._source = source
        optional: Any = source
        self._postpone: Callable[[ReceivedMessage, float], Awaitable[bool]] | None = (
            optional.postpone if offers(source, PostponingSource) else None
        )
        self._is_current: Callable[[ReceivedMessage], bool] = (
            optional.is_current if offers(source, RevocableSource) else _always
        )
        self._reader = reader
        self._handling = handling
        self._judge = judge
        self._slots = asyncio.Semaphore(concurrency)
        self._dead_letters = dead_letters
        self._sleep = sleep
        self._statistics = statistics
        self.is_stopping = False
        """Whether nothing is to be begun or waited for any more."""

    async def work(self, it: Work, on_pause: Callable[[Work], None]) -> None:
        """Work on a message until it is over, or, while stopping, until it would have to wait.

        Args:
            it: the message; if an earlier task for it was cancelled, the work goes on where that was.
            on_pause: called before it waits for its next attempt.
        """
        if it.state == "handling":
            self._failed(it, asyncio.CancelledError("the handlers were cancelled from within"))
        while True:
            it.state = "waiting"
            if it.verdict is None:
                it.verdict = self._judge.before(it.attempt)
            if it.verdict is None and self._is_current(it.message):
                async with self._slots:
                    if self.is_stopping:
                        return
                    if self._is_current(it.message):
                        await self._attempt(it)
            if it.verdict is None:
                it.state = "settling"
                await self.release(it)
                it.is_over = True
                return
            pause = await self._carry_out(it)
            if pause is None:
                it.is_over = True
                return
            it.state = "waiting"
            if self.is_stopping:
                return
            on_pause(it)
            await self._sleep(pause)

    async def release(self, it: Work) -> None:
        """Give a message back; one that ended the consumer as another attempt, if the source can do that."""
        try:
            # Else it would end one consumer after the other, and never have had too many attempts.
            if not (it.has_crashed and await self._source.retry(it.message, self._judge.pause(it.attempt))):
                await self._source.release(it.message)
        except Exception as error:
            _logger.info(
                "%s could not be given back, the broker delivers it again: %s",
                it.message.position or it.message.topic,
                error,
                extra=fields(it.message),
            )
        else:
            self._statistics.released += 1

    async def _attempt(self, it: Work) -> None:
        it.state = "handling"
        try:
            event = self._reader.read(it.message)
        except DeserializationError as error:
            it.verdict = self._judge.unreadable(error)
            return
        except Exception as error:
            self._failed(it, error)
            return
        self._statistics.handling += 1
        try:
            was_new = await self._handling.handle(it.message, event, it.attempt)
        except Exception as error:
            self._failed(it, error)
        else:
            self._statistics.duplicates += not was_new
            it.verdict = Verdict("ack")
        finally:
            self._statistics.handling -= 1
        it.state = "settling"

    def _failed(self, it: Work, error: BaseException) -> None:
        """Note that an attempt failed; never swallows a cancellation, which has ended its task already."""
        verdict = it.verdict = self._judge.after(it.message, error, it.attempt, it.rejections + 1)
        if verdict.kind == "wait":
            it.rejections += 1
            self._statistics.rejected += 1
            _logger.info("%s waits: %s", _name(it), verdict.reason, extra=self._fields(it, verdict))
            return
        it.rejections = 0
        self._statistics.failed += 1
        _logger.warning(
            "attempt %d to handle %s failed (%s): %s",
            it.attempt,
            _name(it),
            {"retry": "it is tried again", "ignore": "it is ignored"}.get(verdict.kind, "it was the last"),
            verdict.reason,
            exc_info=error,
            extra=self._fields(it, verdict),
        )

    async def _carry_out(self, it: Work) -> float | None:
        """Do what the verdict says; return the seconds to wait before going on, ``None`` when it is over."""
        it.state = "settling"
        verdict = it.verdict
        if verdict is None or verdict.kind == "ack":
            await self._acknowledge(it, "handled")
            return None
        if verdict.kind == "ignore":
            _logger.debug("%s is ignored: %s", _name(it), verdict.reason, extra=self._fields(it, verdict))
            await self._acknowledge(it, "ignored")
            return None
        if verdict.kind == "dead_letter":
            return await self._put_aside(it, verdict)
        it.verdict = None
        if verdict.kind == "wait":
            return await self._wait(it, verdict.delay)
        return await self._retry(it, verdict.delay)

    async def _acknowledge(self, it: Work, counted: Literal["handled", "ignored", "dead_lettered"]) -> None:
        for number in range(1, ACK_TRIES + 1):
            try:
                await self._source.ack(it.message)
            except Exception as error:
                if number < ACK_TRIES and not self.is_stopping:
                    await self._sleep(self._judge.pause(number))
                    continue
                self._statistics.unsettled += 1
                _logger.warning(
                    "%s is %s, but could not be acknowledged; the broker delivers it again: %s",
                    _name(it),
                    counted.replace("_", " "),
                    error,
                    extra=fields(it.message),
                )
                return
            else:
                self._count(counted)
                return

    async def _wait(self, it: Work, delay: float) -> float | None:
        # Here a message has its place among the others, but takes that of one which could be handled.
        if self._postpone is None or delay < LONG or self.is_stopping:
            return delay
        try:
            if not await self._postpone(it.message, delay):
                return delay
        except Exception as error:
            _logger.warning("%s waits here: %s", _name(it), error, extra=fields(it.message))
            return delay
        self._statistics.released += 1
        return None

    async def _retry(self, it: Work, delay: float) -> float | None:
        try:
            is_given_back = await self._source.retry(it.message, delay)
        except Exception as error:
            # If the connection is lost, it is dropped; if only this was, nobody would deliver it again.
            _logger.warning("%s is tried again here: %s", _name(it), error, extra=fields(it.message))
            is_given_back = False
        self._statistics.retried += 1
        it.attempt += 1
        return None if is_given_back else delay

    async def _put_aside(self, it: Work, verdict: Verdict) -> float | None:
        message = it.message
        attempts = it.attempt if verdict.attempts is None else verdict.attempts
        try:
            if self._dead_letters is None:
                await self._source.dead_letter(message, verdict.reason, attempts)
            else:
                await self._dead_letters(message, verdict.reason, attempts)
        except Exception as error:
            # A message that is neither settled nor lost with its connection would stay where it is for ever.
            it.rejections += 1
            pause = self._judge.pause(it.rejections)
            _logger.error(
                "%s cannot be put aside; next try in %.1f s: %s",
                _name(it),
                pause,
                error,
                extra=self._fields(it, verdict),
            )
            return pause
        if self._dead_letters is None:
            self._count("dead_lettered")
        else:
            await self._acknowledge(it, "dead_lettered")
        _logger.error(
            "%s was put aside after %d attempts: %s",
            _name(it),
            attempts,
            verdict.reason,
            extra=self._fields(it, verdict),
        )
        return None

    def _count(self, name: str) -> None:
        setattr(self._statistics, name, getattr(self._statistics, name) + 1)

    def _fields(self, it: Work, verdict: Verdict) -> dict[str, Any]:
        return {**fields(it.message), "attempt": it.attempt, "reason": verdict.reason}


def _name(it: Work) -> str:
    message = it.message
    return f"{message.message_name or 'a message without name'} at {message.position or message.topic}"


def _always(_: ReceivedMessage) -> bool:
    return True
