"""What a process knows of one shard of its store."""

from __future__ import annotations

from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.circuit_breaker.fleet.view import FleetView


class Shard:
    """One shard: what it said last, and what waits to be said to it.

    Attributes:
        incarnation, sequence: of the store's state, as far as we have read its changes.
        heard: the highest sequence heard of in any way; changes in between may still be unknown.
        views: what is known of circuits with anything to know, also of those that this process has not made.
        watched: circuits of which some process reports trouble: all with traffic report (detection by all).
        dirty: circuits to report with the next exchange.
        urgent: there is one that cannot wait for it.
        hungry: the next exchange asks for everything.
        full_since: ids listed so far of a full listing that takes several exchanges, ``None`` otherwise.
        sending: the exchange under way, of which there is one at a time.
        living: living processes, as last counted by the store.
    """

    __slots__ = (
        "dirty",
        "full_since",
        "heard",
        "hungry",
        "incarnation",
        "living",
        "number",
        "sending",
        "sequence",
        "urgent",
        "views",
        "watched",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.incarnation = ""
        self.sequence = 0
        self.heard = 0
        self.views: dict[str, FleetView] = {}
        self.watched: set[str] = set()
        self.dirty: dict[str, FleetGate] = {}
        self.urgent = False
        self.hungry = True
        self.full_since: set[str] | None = None
        self.sending: Message | None = None
        self.living = 0

    def forget_plain_views(self) -> None:
        """Keep only what a new circuit must know from its first call on."""
        self.views = {identity: view for identity, view in self.views.items() if not view.plain}

    def renewed(self) -> Shard:
        """Return it as a forked child begins: with what is known, without what is under way."""
        shard = Shard(self.number)
        shard.incarnation, shard.sequence = self.incarnation, self.sequence
        shard.heard = self.heard
        shard.views, shard.watched = dict(self.views), set(self.watched)
        return shard
