"""What listeners and the log hear of the store itself; each piece of news once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from cqrs.circuit_breaker.events import (
    CircuitEvent,
    SettingsDiffer,
    StoreDegraded,
    StoreRecovered,
    StoreRefused,
)
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.view import FleetView
from cqrs.circuit_breaker.listeners import ListenerHub

logger = logging.getLogger(__name__)

MOST_REMEMBERED = 10_000


class Announcements:
    """Tells the listeners of all registries that share a store."""

    def __init__(self, namespace: str, clock: Callable[[], float]) -> None:
        self._namespace = namespace
        self._clock = clock
        self._hubs: list[ListenerHub] = []
        self._told: set[tuple[str, str]] = set()
        self._lost = False  # and not found again

    def listen(self, hubs: Iterable[ListenerHub]) -> None:
        """Tell these listeners as well, from now on."""
        self._hubs += [hub for hub in hubs if hub not in self._hubs]

    def lost(self, silent: float, error: str) -> None:
        """The store has not answered for ``silent`` seconds."""
        self._lost = True
        logger.warning(
            "the store of circuits %r has not answered for %.1f s (%s): every process decides for itself",
            self._namespace,
            silent,
            error,
        )
        self._tell(StoreDegraded(self._namespace, 0, self._clock(), error))

    def found(self, after: float) -> None:
        """The store answers again, ``after`` seconds."""
        if self._lost:
            self._lost = False
            logger.warning("the store of circuits %r answers again", self._namespace)
            self._tell(StoreRecovered(self._namespace, 0, self._clock(), after))

    def refused(self, gate: FleetGate, reason: str) -> None:
        """The store cannot keep a circuit."""
        if self._first(gate.identity, reason):
            name = gate.machine.name
            logger.warning("the store cannot keep circuit %r, which stays local: %s", name, reason)
            self._tell(StoreRefused(name, gate.machine.phase.era, self._clock(), reason))

    def compare(self, gate: FleetGate, ours: str, view: FleetView) -> None:
        """Tell if the store goes by other settings than this process (F13)."""
        theirs = view.settings
        if theirs and theirs != ours and self._first(gate.identity, f"{ours}|{theirs}"):
            name = gate.machine.name
            logger.warning(
                "circuit %r is shared with different policies, the stricter applies; ours: %s; theirs: %s",
                name,
                ours,
                theirs,
            )
            self._tell(SettingsDiffer(name, gate.machine.phase.era, self._clock(), ours, theirs))

    def _first(self, identity: str, what: str) -> bool:
        if (identity, what) in self._told:
            return False
        if len(self._told) >= MOST_REMEMBERED:
            self._told.clear()
        self._told.add((identity, what))
        return True

    def _tell(self, event: CircuitEvent) -> None:
        for hub in list(self._hubs):
            hub.enqueue([event])
            hub.deliver()
