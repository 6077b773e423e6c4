"""What a consumer has done so far."""

from __future__ import annotations

import dataclasses

__all__ = ["ConsumerStatistics"]


@dataclasses.dataclass(slots=True)
class ConsumerStatistics:
    """Counts since the consumer was made, and what it holds now.

    Attributes:
        received: messages that came from the source, each delivery once.
        handled: acknowledged after all handlers ran, or after the inbox knew them.
        duplicates: messages that the inbox knew, so that no handler ran.
        failed: attempts that ended with an error.
        rejected: attempts that an open circuit did not let through.
        retried: messages that were to be tried again, by the broker or in process.
        dead_lettered: messages put aside.
        ignored: messages acknowledged unhandled: their name is unknown, or ``on_error`` said so.
        released: messages given back unhandled.
        unsettled: messages whose acknowledgement failed; the broker delivers them again.
        reconnects: how often the source broke.
        in_hand: messages received and not settled now.
        handling: handlers at work now.
    """

    received: int = 0
    handled: int = 0
    duplicates: int = 0
    failed: int = 0
    rejected: int = 0
    retried: int = 0
    dead_lettered: int = 0
    ignored: int = 0
    released: int = 0
    unsettled: int = 0
    reconnects: int = 0
    in_hand: int = 0
    handling: int = 0
