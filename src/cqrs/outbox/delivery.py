"""Sending a batch of messages, and what became of each."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.protocol import ICircuitBreaker
from cqrs.exceptions import ConfigurationTypeError
from cqrs.message_brokers.connecting import not_cancelled
from cqrs.message_brokers.protocol import Message, MessageBroker
from cqrs.outbox.attempts import UNCOUNTED, FailureKind, classify
from cqrs.outbox.guarding import AllUnavailable, guarded, whole

__all__ = ["Delivery", "Outgoing", "Sender"]

_FAILURES_IN_A_ROW = 3
"""So many at least tell of the broker, and not of one message."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outgoing:
    """A row on its way, as a message."""

    id: int
    attempts: int
    message: Message


@dataclasses.dataclass(slots=True)
class Delivery:
    """What became of a batch so far; complete at any moment, also after a cancellation.

    Attributes:
        batch: what is to be sent, by row.
        sent: rows that the broker has taken over.
        failed: rows that it has not, and why.
        after: row -> an earlier row of the same key that failed.
        stopped: sending ended early, as the broker could not be reached or there was no time left.
        retry_after: seconds that the circuit breaker asks to wait.
    """

    batch: dict[int, Outgoing]
    sent: list[int] = dataclasses.field(default_factory=list[int])
    failed: dict[int, Exception] = dataclasses.field(default_factory=dict[int, Exception])
    after: dict[int, int] = dataclasses.field(default_factory=dict[int, int])
    stopped: bool = False
    retry_after: float | None = None

    @property
    def unsent(self) -> list[int]:
        """Rows that were not tried, or whose attempt was cut off."""
        tried = {*self.sent, *self.failed, *self.after}
        return [number for number in self.batch if number not in tried]


class Sender:
    """Sends batches through a broker: all at once where it can, else one by one, some at the same time.

    After a batch of which nothing was sent, the next one goes one by one, so that a message at which the
    broker hangs is found out.

    Args:
        broker: takes the messages.
        concurrency: messages under way at once, for a broker that takes one at a time. Messages of the same
            key follow each other; when one fails, those after it wait with it.
        send_timeout: seconds for one call of the broker.
        circuit_breaker: guards the calls.
        clock: monotonic clock in seconds.
    """

    def __init__(
        self,
        broker: MessageBroker,
        *,
        concurrency: int,
        send_timeout: float,
        circuit_breaker: CircuitBreaker | ICircuitBreaker | None,
        clock: Callable[[], float],
    ) -> None:
        self._concurrency = concurrency
        self._send_timeout = send_timeout
        self._clock = clock
        registry = None if isinstance(circuit_breaker, CircuitBreaker) else circuit_breaker
        self._rejects: ICircuitBreaker | None = registry
        many = getattr(broker, "send_messages", None)
        self._many = None if many is None else guarded(circuit_breaker, whole(many, registry))
        # After a batch that failed as a whole: one message may have held up all others, for ever.
        self._doubtful = False
        self._one = guarded(circuit_breaker, broker.send_message)

    async def send(self, delivery: Delivery, until: float) -> None:
        """Send what is to be sent; no call of the broker lasts beyond ``until``."""
        if not delivery.batch:
            return
        if self._many is not None and not self._doubtful:
            await self._send_together(self._many, delivery, until)
        else:
            await self._send_singly(delivery, until)
        self._doubtful = self.is_outage(delivery)

    def classify(self, error: Exception) -> FailureKind:
        """Tell what a failure says."""
        return classify(error, self._rejects)

    def is_outage(self, delivery: Delivery) -> bool:
        """Tell whether nothing was sent, and only because the broker, or the circuit, was not available."""
        if delivery.sent or not delivery.failed:
            return False
        return all(self.classify(error) in UNCOUNTED for error in delivery.failed.values())

    async def _send_together(self, send: Callable[..., Any], delivery: Delivery, until: float) -> None:
        batch = list(delivery.batch.values())
        limit = min(self._send_timeout, until - self._clock())
        if limit <= 0:
            delivery.stopped = True
            return
        results: Sequence[Any]
        try:
            async with not_cancelled(), asyncio.timeout(limit):
                answer: object = await send([outgoing.message for outgoing in batch])
            if not isinstance(answer, (list, tuple)):
                raise ConfigurationTypeError(
                    "send_messages must return a list with None or an Exception for each message, "
                    f"not {answer!r:.200}"
                )
            results = cast("Sequence[Any]", answer)
            if len(results) != len(batch):
                raise ConfigurationTypeError(
                    f"send_messages returned {len(results)} results for {len(batch)} messages"
                )
        except AllUnavailable as error:
            results = error.results
        except Exception as error:
            self._note_rejection(delivery, error)
            results = [error] * len(batch)
        for outgoing, result in zip(batch, results, strict=True):
            if result is None:
                delivery.sent.append(outgoing.id)
            elif isinstance(result, Exception):
                delivery.failed[outgoing.id] = result
            else:
                wrong = f"send_messages returned {result!r} for a message, neither None nor an Exception"
                delivery.failed[outgoing.id] = ConfigurationTypeError(wrong)

    async def _send_singly(self, delivery: Delivery, until: float) -> None:
        chains = iter(list(_chains(delivery.batch.values())))
        workers = min(self._concurrency, len(delivery.batch))
        run = _Run(self, delivery, until, chains, workers)
        if workers == 1:
            await run.work()
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(run.work())

    async def send_one(self, outgoing: Outgoing) -> Exception | None:
        """Send one message; return its error."""
        try:
            async with not_cancelled(), asyncio.timeout(self._send_timeout):
                await self._one(outgoing.message)
        except Exception as error:
            return error
        return None

    def has_time(self, until: float) -> bool:
        """Tell whether one more call may begin."""
        return self._clock() + self._send_timeout <= until

    def _note_rejection(self, delivery: Delivery, error: Exception) -> None:
        if self.classify(error) is FailureKind.REJECTED:
            delivery.stopped = True
            delivery.retry_after = error.retry_after if isinstance(error, CircuitOpenError) else None

    def note_failure(self, delivery: Delivery, error: Exception) -> bool:
        """Remember a rejection; return whether the failure is about the broker as a whole."""
        self._note_rejection(delivery, error)
        return self.classify(error) in UNCOUNTED


class _Run:
    """The workers that send the chains of one batch."""

    def __init__(
        self, sender: Sender, delivery: Delivery, until: float, chains: Iterator[list[Outgoing]], workers: int
    ) -> None:
        self._sender = sender
        self._delivery = delivery
        self._until = until
        self._chains = chains
        self._limit = max(workers, _FAILURES_IN_A_ROW)
        self._unavailable = 0  # failures in a row

    async def work(self) -> None:
        """Send chain by chain, until none is left or there is no point in it."""
        for chain in self._chains:
            await self._send_chain(chain)
            if self._delivery.stopped:
                return

    async def _send_chain(self, chain: list[Outgoing]) -> None:
        delivery = self._delivery
        for place, outgoing in enumerate(chain):
            if delivery.stopped or not self._sender.has_time(self._until):
                delivery.stopped = True
                return
            error = await self._sender.send_one(outgoing)
            if error is None:
                delivery.sent.append(outgoing.id)
                self._unavailable = 0
                continue
            delivery.failed[outgoing.id] = error
            delivery.after.update({later.id: outgoing.id for later in chain[place + 1 :]})
            about_broker = self._sender.note_failure(delivery, error)
            self._unavailable = self._unavailable + 1 if about_broker else 0
            if self._unavailable >= self._limit:  # a broker that hangs would cost a timeout per message
                delivery.stopped = True
            return


def _chains(batch: Iterable[Outgoing]) -> Iterable[list[Outgoing]]:
    """Return the messages of each key in their order; one without key is alone."""
    chains: dict[Any, list[Outgoing]] = {}
    for outgoing in batch:
        key = outgoing.message.key
        name: Any = outgoing.id if key is None else (outgoing.message.topic, key)
        chains.setdefault(name, []).append(outgoing)
    return chains.values()
