"""Whose word on a circuit's mode is in force: the operator's of this process or the fleet's (F11)."""

from __future__ import annotations

from typing import NamedTuple

from cqrs.circuit_breaker.states import Mode

_STRICTNESS = {Mode.DISABLED: 0, Mode.METRICS_ONLY: 1, Mode.ENABLED: 2, Mode.FORCED_OPEN: 3}


class Order(NamedTuple):
    """An override, until when (local monotonic; ``None``: for good), and whether it beats the fleet's."""

    mode: Mode
    until: float | None
    insists: bool = False


class Modes:
    """The overrides that concern one circuit in one process."""

    __slots__ = ("everywhere", "fleet", "initial", "own")

    def __init__(self, initial: Mode) -> None:
        self.initial = initial
        self.own: Order | None = None
        self.fleet: Order | None = None
        self.everywhere: Order | None = None

    def in_force(self, now: float) -> tuple[Mode, float | None]:
        """Return the mode, and the moment at which that has to be asked again.

        An order of the fleet for this circuit goes before one for all circuits; the process's own wins if it
        insists, or if it is the stricter one.
        """
        own, fleet, everywhere = (
            None if order is None or (order.until is not None and now >= order.until) else order
            for order in (self.own, self.fleet, self.everywhere)
        )
        theirs = fleet or everywhere
        chosen = own or theirs
        if own is not None and theirs is not None and not own.insists:
            chosen = max(own, theirs, key=lambda order: _STRICTNESS[order.mode])
        return (self.initial, None) if chosen is None else (chosen.mode, chosen.until)
