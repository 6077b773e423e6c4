"""The keys of one shard: what exists beside the circuits themselves, and the log of their changes."""

from __future__ import annotations

import copy
import itertools
from collections import deque
from typing import Any

from cqrs.circuit_breaker.fleet.coordinator.records import HOUR, SECOND, Record, Reports
from cqrs.circuit_breaker.fleet.coordinator.scores import Scores

AUDIT_LENGTH = 10_000


class Shard:
    """All that a store keeps for one shard.

    Attributes:
        published: messages for the subscribers, oldest first; the caller takes them out.
        audit: the last transitions and overrides, oldest first.
    """

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.audit: deque[dict[str, Any]] = deque(maxlen=AUDIT_LENGTH)
        self._audited: deque[int] = deque(maxlen=AUDIT_LENGTH)
        self.clear()

    def clear(self) -> None:
        """Lose everything, as a store does that is flushed; who asks next begins another incarnation."""
        self.inc = ""
        self.seq = 0
        self.nodes = Scores()
        self.nodes_expire = 0
        self.circuits: dict[str, Record] = {}
        self.permits: dict[str, Scores] = {}
        self.permits_expire: dict[str, int] = {}
        self.reports: dict[str, Reports] = {}
        self.log = Scores()

    def dump(self) -> dict[str, Any]:
        """Return a copy of all that is stored; messages and the audit are not."""
        return copy.deepcopy({name: getattr(self, name) for name in _KEYS})

    def load(self, dump: dict[str, Any]) -> None:
        """Return to an earlier ``dump``, as a store does that lost its last writes."""
        for name, value in copy.deepcopy(dump).items():
            setattr(self, name, value)

    def expire(self, now_us: int) -> None:
        """Drop what has outlived its time to live. No operation does it: in Redis the server would."""
        if now_us >= self.nodes_expire:
            self.nodes = Scores()
        for id_ in [id_ for id_, record in self.circuits.items() if 0 <= record.expires <= now_us]:
            del self.circuits[id_]
        for id_ in [id_ for id_, expires in self.permits_expire.items() if expires <= now_us]:
            self.drop_permits(id_)
        for id_ in [id_ for id_, reports in self.reports.items() if reports.expires <= now_us]:
            del self.reports[id_]

    # ------------------------------------------------------------------ nodes

    def beat(self, node: str, now: int) -> None:
        """Note that a node is alive; forget those silent for an hour, or of what is now the future (F5)."""
        nodes = self.nodes
        nodes.add(node, now)
        self.nodes_expire = now + HOUR
        for gone in [*nodes.below(now - HOUR), *nodes.above(now + SECOND)]:
            nodes.remove(gone)

    def live(self, now: int, stale_us: int) -> int:
        """Return how many nodes were seen lately; whoever asks is one."""
        return max(1, self.nodes.count_from(now - stale_us))

    # ------------------------------------------------------------------ permits

    def keep_permit(self, id_: str, permit: str, expiry: int) -> None:
        """Lease a permit, or lease it again."""
        self.permits.setdefault(id_, Scores()).add(permit, expiry)
        self.permits_expire[id_] = expiry + 60 * SECOND

    def drop_permits(self, id_: str) -> None:
        """Void all permits of a circuit."""
        self.permits.pop(id_, None)
        self.permits_expire.pop(id_, None)

    # ------------------------------------------------------------------ log

    def meet(self, request: dict[str, Any]) -> int:
        """Begin an incarnation if there is none; return from which change on the caller must be told, or -1.

        -1: of everything, since what it knows is of another incarnation. A store that has lost changes begins
        one as soon as somebody knows of a later change than the store itself.
        """
        if not self.inc:
            self.inc = request["inc"]
        inc, seq = request["seen"]
        if inc != self.inc:
            return -1
        if seq > self.seq:  # rolled back: everybody has to be told anew, not only who notices (F10)
            self.inc, self.seq = request["inc"], seq
            return -1
        return -1 if request.get("full") else seq

    def note(self, now: int, entry: dict[str, Any]) -> None:
        """Add an entry to the audit, of now."""
        self.audit.append(entry)
        self._audited.append(now)

    def latest(self, number: int, now: int) -> list[dict[str, Any]]:
        """Return the newest entries of the audit, newest first: texts, as in a stream, and their ages."""
        # Not strict: who reads the audit may empty it. The newest of both belong together all the same.
        newest = itertools.islice(zip(reversed(self.audit), reversed(self._audited), strict=False), number)
        return [
            {**{name: str(value) for name, value in entry.items()}, "ago_us": max(0, now - at)}
            for entry, at in newest
        ]

    def bump(self, id_: str) -> None:
        """Enter a change into the log; the caller publishes it."""
        self.seq += 1
        self.log.add(id_, self.seq)
        for _, oldest in self.log.order[:2]:
            if not self.known(oldest):
                self.log.remove(oldest)

    def known(self, id_: str) -> bool:
        """Whether anything is stored of a circuit."""
        return id_ in self.circuits or id_ in self.reports


_KEYS = (
    "inc",
    "seq",
    "nodes",
    "nodes_expire",
    "circuits",
    "permits",
    "permits_expire",
    "reports",
    "log",
)
