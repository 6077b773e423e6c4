"""From leased rows to messages; those that are none become dead letters."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cqrs.message_brokers.protocol import Message
from cqrs.outbox.attempts import Setback, storable
from cqrs.outbox.codec import UndecodableEvent, decode, decode_headers
from cqrs.outbox.delivery import Outgoing
from cqrs.outbox.repository import EventStatus
from cqrs.outbox.rows import ClaimedRow

if TYPE_CHECKING:
    from cqrs.compressors.protocol import Compressor

__all__ = ["Preparation", "dead_letter"]

logger = logging.getLogger("cqrs.outbox.relay")

_MOST_NAMES = 1000


class Preparation:
    """Makes messages of rows.

    The message carries the dictionary that was stored. Whether it is one of the registered type is checked by
    building the event, which is then thrown away.

    Args:
        compressor: the one with which rows were written.
        validate: build the event; without, any JSON object of a registered name passes.
    """

    def __init__(self, compressor: Compressor | None, validate: bool) -> None:
        self._compressor = compressor
        self._validate = validate
        self._told: set[str] = set()

    def message(self, row: ClaimedRow) -> Outgoing | Setback:
        """Return the message of a row, or what becomes of a row that has none."""
        try:
            payload, _ = decode(row.event_name, row.payload, self._compressor, build=self._validate)
            headers = decode_headers(row.headers) if row.headers else {}
        except UndecodableEvent as error:
            self._tell(row, error)
            return dead_letter(row, str(error))
        message = Message(row.event_name, row.topic, payload, row.event_id, headers, row.message_key)
        return Outgoing(row.id, row.flush_counter, message)

    def _tell(self, row: ClaimedRow, error: UndecodableEvent) -> None:
        if row.event_name in self._told:
            return
        if len(self._told) < _MOST_NAMES:
            self._told.add(row.event_name)
        logger.error(
            "row %s (%s) of the outbox is a dead letter, and so is what else is wrong with events of this "
            "name: %s",
            row.id,
            row.event_name,
            error,
            extra={"outbox_id": row.id, "event_name": row.event_name},
        )


def dead_letter(row: ClaimedRow, reason: str) -> Setback:
    """Return what becomes of a row that cannot be read; its attempts stay as they are."""
    return Setback(EventStatus.DEAD_LETTER, row.flush_counter, 0.0, storable(reason))
