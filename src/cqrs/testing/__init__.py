"""Tools for testing code that uses circuit breakers: a clock, faults, a network, a fleet, traces.

Pytest fixtures are in ``cqrs.testing.pytest_plugin``; importing this package does not import pytest.
"""

from cqrs.circuit_breaker.fleet.memory import MemoryServer, MemoryStore
from cqrs.testing.chaos_faults import ActiveFault
from cqrs.testing.chaos_proxy import ChaosProxy
from cqrs.testing.clock import FakeClock
from cqrs.testing.faults import Fault, Latency, Strategy
from cqrs.testing.faulty_store import FaultyStore
from cqrs.testing.fleet import Fleet, FleetNode
from cqrs.testing.script import Script
from cqrs.testing.trace import TransitionRecorder, assert_trace

__all__ = [
    "ActiveFault",
    "ChaosProxy",
    "FakeClock",
    "Fault",
    "FaultyStore",
    "Fleet",
    "FleetNode",
    "Latency",
    "MemoryServer",
    "MemoryStore",
    "Script",
    "Strategy",
    "TransitionRecorder",
    "assert_trace",
]
