"""One turn of a relay: lease a batch, send it, write what became of it.

Whatever happens, rows are published at least once: a row is marked only after the broker has taken its
message over, and a lease that nobody gives back ends by itself. Whoever is cancelled gives back the rest.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import itertools
import logging
import uuid
from collections.abc import Awaitable, Callable

from cqrs._sql.errors import in_short
from cqrs.circuit_breaker.timing import Backoff
from cqrs.outbox.attempts import UNAVAILABLE_DELAY, UNCOUNTED, FailureKind, Setback, setback
from cqrs.outbox.delivery import Delivery, Outgoing, Sender
from cqrs.outbox.preparation import Preparation
from cqrs.outbox.relay_store import RelayStore
from cqrs.outbox.repository import EventStatus
from cqrs.outbox.rows import ClaimedRow, Settlement
from cqrs.outbox.settings import RelaySettings
from cqrs.outbox.sheltering import sheltered
from cqrs.outbox.statistics import RelayStatistics
from cqrs.outbox.suspicion import Suspicion

__all__ = ["Turn", "TurnResult"]

logger = logging.getLogger("cqrs.outbox.relay")

GRACE = 5.0
"""Seconds that a statement gets to end after its task was cancelled."""

_RETRIES = Backoff(initial=0.2, multiplier=2.0, max=5.0, jitter=0.2)
_ROWS_AT_A_TIME = 100


@dataclasses.dataclass(frozen=True, slots=True)
class TurnResult:
    """What a turn has met.

    Attributes:
        claimed: rows leased.
        published: rows that the broker has taken over.
        is_outage: the broker, or the circuit, was not available.
        retry_after: seconds that the circuit breaker asks to wait.
    """

    claimed: int
    published: int = 0
    is_outage: bool = False
    retry_after: float | None = None


class Turn:
    """Makes turns.

    Args:
        store: the database.
        sender: the broker.
        preparation: makes messages of rows.
        settings, statistics: of the relay.
        clock: monotonic clock in seconds.
        sleep: waits for a number of seconds.
        random: numbers in [0, 1) for the jitter of waits.
    """

    def __init__(
        self,
        store: RelayStore,
        sender: Sender,
        preparation: Preparation,
        settings: RelaySettings,
        statistics: RelayStatistics,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._sender = sender
        self._preparation = preparation
        self._settings = settings
        self._statistics = statistics
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._owner = uuid.uuid4().hex
        self._claims = itertools.count(1)
        self._suspicion = Suspicion()
        self._lost: collections.deque[str] = collections.deque(maxlen=10)

    async def make(self) -> TurnResult:
        """Lease, send and settle one batch.

        Raises:
            Exception: an error of the database while rows were leased.
        """
        for lost in tuple(self._lost):
            await self._forget(lost)
        token = f"{self._owner}-{next(self._claims)}"
        end_of_lease = self._clock() + self._settings.lease_seconds
        try:
            rows = await sheltered(self._claim(token), GRACE)
        except asyncio.CancelledError:
            await sheltered(self._forget(token), GRACE)  # the lease may be durable
            raise
        except Exception:
            self._lost.append(token)  # it may be durable here too
            raise
        if not rows:
            return TurnResult(0)
        self._statistics.batches += 1
        self._statistics.claimed += len(rows)
        delivery = Delivery({})
        settlement = Settlement()
        try:
            await self._prepare(rows, delivery, settlement)
            await self._sender.send(delivery, end_of_lease)
        except BaseException:
            known = {*delivery.batch, *settlement.setbacks}
            settlement.given_back = [row.id for row in rows if row.id not in known]
            self._judge(delivery, settlement, self._sender.is_outage(delivery))
            await sheltered(self._settle(token, settlement, self._clock()), GRACE)
            raise
        is_outage = self._suspicion.judge(
            {delivery.batch[number].message.topic for number in delivery.failed},
            has_sent=bool(delivery.sent),
            is_outage=self._sender.is_outage(delivery),
        )
        self._judge(delivery, settlement, is_outage)
        await sheltered(self._settle(token, settlement, end_of_lease), GRACE)
        stopped = is_outage or (delivery.stopped and bool(delivery.failed))
        return TurnResult(len(rows), len(delivery.sent), stopped, delivery.retry_after)

    async def _claim(self, token: str) -> list[ClaimedRow]:
        avoid = self._suspicion.avoid
        rows = await self._store.claim(token, avoid)
        if rows or not avoid:
            return rows
        self._suspicion.nothing_else()
        return await self._store.claim(token)

    async def _prepare(self, rows: list[ClaimedRow], delivery: Delivery, settlement: Settlement) -> None:
        for count, row in enumerate(rows, 1):
            prepared = self._preparation.message(row)
            if isinstance(prepared, Setback):
                settlement.setbacks[row.id] = prepared
            else:
                delivery.batch[row.id] = prepared
            if count % _ROWS_AT_A_TIME == 0:
                await asyncio.sleep(0)  # other tasks of the program wait meanwhile

    def _judge(self, delivery: Delivery, settlement: Settlement, is_outage: bool) -> None:
        """Put what became of a batch into the settlement."""
        settlement.produced = delivery.sent
        settlement.given_back += delivery.unsent
        for number, error in delivery.failed.items():
            kind = self._sender.classify(error)
            if is_outage and kind is FailureKind.UNAVAILABLE and delivery.unsent:
                # Whatever holds the first ones up must not hold up the others for ever.
                settlement.held[number] = UNAVAILABLE_DELAY
            elif kind is FailureKind.REJECTED or (is_outage and kind in UNCOUNTED):
                settlement.given_back.append(number)
            else:
                settlement.setbacks[number] = self._setback(delivery.batch[number], error)
        for number, earlier in delivery.after.items():
            failed = settlement.setbacks.get(earlier)
            if earlier in settlement.held:
                settlement.held[number] = settlement.held[earlier]
            elif failed is None or failed.status is EventStatus.DEAD_LETTER:
                settlement.given_back.append(number)
            else:
                settlement.held[number] = failed.delay
        if is_outage or delivery.stopped:
            self._tell(delivery, settlement)
        self._count(settlement, is_outage)

    def _setback(self, outgoing: Outgoing, error: Exception) -> Setback:
        settings = self._settings
        result = setback(
            error,
            outgoing.attempts,
            max_attempts=settings.max_attempts,
            backoff=settings.backoff,
            random=self._random,
        )
        is_dead = result.status is EventStatus.DEAD_LETTER
        logger.log(
            logging.ERROR if is_dead else logging.WARNING,
            "row %s (%s) of the outbox was not sent to %s, attempt %d, %s: %s",
            outgoing.id,
            outgoing.message.message_name,
            outgoing.message.topic,
            result.attempts,
            "given up" if is_dead else f"next in {result.delay:.1f} s",
            result.reason,
            extra={"outbox_id": outgoing.id, "topic": outgoing.message.topic},
        )
        return result

    def _tell(self, delivery: Delivery, settlement: Settlement) -> None:
        example = next(iter(delivery.failed.values()), None)
        logger.warning(
            "the outbox gives %d rows back, unsent and uncounted: %s",
            len(settlement.given_back) + len(settlement.held),
            "there was no time left" if example is None else f"{type(example).__qualname__}: {example}",
        )

    def _count(self, settlement: Settlement, is_outage: bool) -> None:
        statistics = self._statistics
        dead = sum(each.status is EventStatus.DEAD_LETTER for each in settlement.setbacks.values())
        statistics.published += len(settlement.produced)
        statistics.dead += dead
        statistics.failed += len(settlement.setbacks) - dead
        statistics.uncounted += len(settlement.given_back) + len(settlement.held)
        statistics.outages += is_outage

    async def _settle(self, token: str, settlement: Settlement, until: float) -> None:
        """Write the settlement; try again until it is written, or the lease has ended."""
        for attempt in itertools.count(1):
            try:
                missing = await self._store.settle(token, settlement)
            except Exception as error:
                self._statistics.errors += 1
                if self._clock() >= until:
                    logger.error(
                        "the outbox could not write that %d rows were published; they will be sent again: %s",
                        len(settlement.produced),
                        in_short(error),
                    )
                    return
                logger.warning("the outbox will write again what became of a batch: %s", in_short(error))
                await self._sleep(_RETRIES.duration(attempt, self._random()))
            else:
                if missing and attempt == 1:
                    # Later, an attempt whose reply was lost may have written it already.
                    self._statistics.overtaken += missing
                    logger.warning(
                        "the lease of %d published rows had ended; another relay sends them too: use a "
                        "longer lease_seconds, or smaller batches",
                        missing,
                    )
                return

    async def _forget(self, token: str) -> None:
        try:
            await self._store.forget(token)
        except Exception as error:
            self._statistics.errors += 1
            logger.warning(
                "the outbox could not give leases back; they end by themselves: %s", in_short(error)
            )
        else:
            if token in self._lost:
                self._lost.remove(token)
