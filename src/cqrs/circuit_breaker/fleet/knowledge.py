"""What a process knows of its fleet's circuits, its own and others, and how it hears of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.modes import Order
from cqrs.circuit_breaker.fleet.shard import Shard
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.circuit_breaker.fleet.view import NOTHING_KNOWN, FleetView

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.session import Session

MOST_VIEWS = 10_000
"""Views kept of circuits that this process may make one day; beyond it the uneventful ones go."""


class Knowledge:
    """Views by circuit, and the override of all circuits."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._everywhere: FleetView = NOTHING_KNOWN
        self._order: Order | None = None

    def introduce(self, gate: FleetGate) -> None:
        """Let a new circuit know from its first call on what is known of it."""
        if self._order is not None:
            self._impose(gate)
        view = self._session.shard_of(gate).views.get(gate.identity)
        if view is not None:
            gate.adopt(view)

    def take(self, shard: Shard, said: Message, now: float) -> None:
        """Take a view of a circuit, if it is not older than what is known."""
        view = FleetView.of(said, shard.incarnation, now)
        shard.heard = max(shard.heard, view.sequence)
        identity = said["id"]
        if identity == wire.EVERYWHERE:
            if shard.number == 0 and not view.older_than(self._everywhere):
                self._take_everywhere(view, now)
            return
        known = shard.views.get(identity)
        if known is not None and view.older_than(known):
            return
        self._keep(shard, identity, view)
        gate = self._session.gates.get(identity)
        if gate is not None:
            gate.adopt(view)
            self._session.announcements.compare(gate, self._session.rules_of(gate)["cfg"], view)

    @staticmethod
    def _keep(shard: Shard, identity: str, view: FleetView) -> None:
        if view.plain and not view.epoch:
            shard.views.pop(identity, None)
        else:
            if len(shard.views) >= MOST_VIEWS:
                shard.forget_plain_views()
            shard.views[identity] = view
        if view.watched or view.row:
            shard.watched.add(identity)
        else:
            shard.watched.discard(identity)

    def forget_all_but(self, shard: Shard, known: set[str], sequence: int) -> None:
        """Note that a shard kept nothing but what it has just listed, as of ``sequence``."""

        def lost(view: FleetView) -> bool:  # not what was heard of after the list was made
            return view.shard != shard.incarnation or view.sequence <= sequence

        session = self._session
        listed = wire.EVERYWHERE in known or shard.number != 0
        if not listed and self._order is not None and lost(self._everywhere):
            self._take_everywhere(NOTHING_KNOWN, session.clock())
        for gate in session.members():
            listed = gate.identity in known or session.shard_of(gate) is not shard
            if not listed and lost(gate.shared.view):
                gate.lose()

    def _take_everywhere(self, view: FleetView, now: float) -> None:
        known, self._everywhere = self._everywhere, view
        if (view.seen, view.mode) == (known.seen, known.mode):
            return  # the same, but for the time that the message took
        until = None if view.mode_left is None else now + view.mode_left
        self._order = None if view.mode is None else Order(view.mode, until)
        for gate in self._session.members():
            self._impose(gate)

    def _impose(self, gate: FleetGate) -> None:
        shared, order, view = gate.shared, self._order, self._everywhere
        gate.order(lambda now: shared.adopt_everywhere(order, now, view.actor, view.reason))
