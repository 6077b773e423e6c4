"""Keyed circuits: a child rejects while its parent is open."""

from __future__ import annotations

from cqrs.circuit_breaker.gate import NO_LANE, Gate, NoLane, Token
from cqrs.circuit_breaker.machine import Machine
from cqrs.circuit_breaker.phases import Shut
from cqrs.circuit_breaker.states import State


class VetoedGate(Gate):
    """A gate that lets nothing through while its parent is open."""

    __slots__ = ()

    parent: Gate

    @property
    def quick_machine(self) -> Machine | NoLane:
        return NO_LANE  # every admission asks the parent

    def enter(self) -> Token:
        machine = self.parent.machine
        phase = machine.phase
        shut = phase if isinstance(phase, Shut) else machine.barrier
        if shut is not None and shut.state is not State.HALF_OPEN:
            now = self.clock()
            if machine.effective(now)[0] is shut.state:
                self.machine.own_totals().rejected += 1
                raise shut.rejection(now, "parent")
        return super().enter()


class ChildGate(VetoedGate):
    """A child of this process alone."""

    __slots__ = ("parent",)
