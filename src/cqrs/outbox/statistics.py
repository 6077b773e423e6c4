"""What a relay has done."""

from __future__ import annotations

import dataclasses

__all__ = ["RelayStatistics"]


@dataclasses.dataclass(slots=True)
class RelayStatistics:
    """Counters of a relay since it was made; only ever growing.

    Attributes:
        batches: claims that found rows.
        claimed: rows leased.
        published: rows that the broker has taken over.
        failed: failed attempts that were counted, and will be repeated.
        dead: rows that became dead letters.
        uncounted: rows given back without an attempt counted: the broker could not be reached, the circuit
            was open, there was no time left, or an earlier message of the same key failed.
        overtaken: published rows whose lease had ended before that could be written: sent twice.
        outages: batches in which nothing but unavailability was met.
        errors: errors of the database.
        queries: statements sent to the database.
        wakes: notifications of the database about its topics.
    """

    batches: int = 0
    claimed: int = 0
    published: int = 0
    failed: int = 0
    dead: int = 0
    uncounted: int = 0
    overtaken: int = 0
    outages: int = 0
    errors: int = 0
    queries: int = 0
    wakes: int = 0
