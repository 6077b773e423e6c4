"""Stored answers in memory, so many and no more."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cqrs.circuit_breaker import validation

if TYPE_CHECKING:
    from hishel import Entry, Headers

MOST_VARIANTS = 16
"""Answers to one URL that differ by what ``Vary`` names."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored answer: what the rules of caching go by, and its body."""

    entry: Entry
    content: bytes

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        headers = self.entry.response.headers
        return len(self.content) + sum(len(name) + len(headers[name]) for name in headers) + 500


class MemoryCache:
    """Keeps answers by key; the longest unused go first. For threads and tasks alike.

    Args:
        max_entries: answers kept at most; >= 1.
        max_bytes: bytes kept at most, about; >= 1. A larger answer is not stored.

    Raises:
        PolicyError: an argument is out of range.
    """

    def __init__(self, max_entries: int = 1000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_entries = validation.count("max_entries", max_entries)
        self._max_bytes = validation.count("max_bytes", max_bytes)
        self._lock = threading.Lock()
        self._by_key: OrderedDict[str, list[Stored]] = OrderedDict()
        self._entries = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._entries

    def get(self, key: str) -> list[Stored]:
        """Return the answers of a key."""
        with self._lock:
            found = self._by_key.get(key)
            if found is None:
                return []
            self._by_key.move_to_end(key)
            return list(found)

    def put(self, key: str, stored: Stored) -> None:
        """Store an answer, in place of one to the same request."""
        if stored.size > self._max_bytes:
            return
        with self._lock:
            mine = stored.entry.request
            kept = [
                other
                for other in self._by_key.get(key, [])
                if other.entry.request.method != mine.method or other.entry.request.headers != mine.headers
            ]
            self._replace(key, [*kept[-(MOST_VARIANTS - 1) :], stored])
            while self._entries > self._max_entries or self._bytes > self._max_bytes:
                oldest = next(iter(self._by_key))
                self._replace(oldest, self._by_key[oldest][1:])

    def update(self, key: str, entry_id: uuid.UUID, headers: Headers) -> None:
        """Replace the headers of an answer, if it is still there."""
        with self._lock:
            self._replace(
                key,
                [
                    self._with_headers(stored, headers) if stored.entry.id == entry_id else stored
                    for stored in self._by_key.get(key, [])
                ],
            )

    def remove(self, key: str, entry_ids: Collection[uuid.UUID] | None = None) -> None:
        """Remove answers of a key, all of them by default."""
        with self._lock:
            found = self._by_key.get(key, [])
            kept = [] if entry_ids is None else [one for one in found if one.entry.id not in entry_ids]
            self._replace(key, kept)

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._by_key.clear()
            self._entries = self._bytes = 0

    # Requires lock: self._lock
    def _replace(self, key: str, now: list[Stored]) -> None:
        before = self._by_key.get(key, [])
        self._entries += len(now) - len(before)
        self._bytes += sum(one.size for one in now) - sum(one.size for one in before)
        if now:
            self._by_key[key] = now
        else:
            self._by_key.pop(key, None)

    @staticmethod
    def _with_headers(stored: Stored, headers: Headers) -> Stored:
        entry = stored.entry
        return replace(stored, entry=replace(entry, response=replace(entry.response, headers=headers)))
