"""What would these settings have done in this outage: the real state machine in virtual time."""

from cqrs.simulation.result import SimulationResult, Slot, Spread, StoreUse
from cqrs.simulation.run import compare, simulate
from cqrs.simulation.scenario import Capacity, NodeFault, Phase, ResponseTime, Scenario
from cqrs.simulation.scenarios import SCENARIOS
from cqrs.simulation.store import SharedStore

__all__ = [
    "SCENARIOS",
    "Capacity",
    "NodeFault",
    "Phase",
    "ResponseTime",
    "Scenario",
    "SharedStore",
    "SimulationResult",
    "Slot",
    "Spread",
    "StoreUse",
    "compare",
    "simulate",
]
