"""Every way in which one thread can interrupt another once, tried one by one.

CPython lets another thread in only after a call, at a backward jump and at the start of a function. One
operation is run step by step, and at the k-th such point another operation is done in full; this for every
pair of operations and every k. The outcome must be that of doing one after the other: nothing is lost,
nothing counted twice, and no list of running calls is torn.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import pytest

import cqrs.circuit_breaker
from cqrs.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitOpenError,
    CountWindow,
    Mode,
    TimeWindow,
    Verdict,
)
from cqrs.circuit_breaker.gate import Gate
from cqrs.testing import FakeClock

PACKAGE = cqrs.circuit_breaker.__path__[0]
TOOL = 4  # an identifier that CPython leaves to whoever needs one
SWITCHES = ("CALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD", "RESUME", "BEFORE_WITH")


def policy(**fields: Any) -> CircuitBreakerPolicy:
    defaults: dict[str, Any] = {
        "sliding_window": CountWindow(100),
        "minimum_number_of_calls": 5,
        "failure_rate_threshold": 0.5,
        "recovery_ramp": None,
        "wait_duration_in_open": 1.0,
    }
    return CircuitBreakerPolicy(**(defaults | fields))


SLOW = {"slow_call_duration_threshold": 4.0, "slow_call_rate_threshold": 1.0}
POLICIES = {
    "count window": policy(),
    "time window": policy(sliding_window=TimeWindow(100.0, buckets=10)),
    "in a row": policy(consecutive_failures=3),
    "one more call": policy(failure_rate_threshold=0.2),
    "slow calls": policy(sliding_window=TimeWindow(100.0, buckets=10), **SLOW),
    "half-open": policy(permitted_calls_in_half_open=3, max_concurrent_probes=2),
}


@dataclass
class World:
    """A circuit in a state in which the next failure decides, and calls that can end in any order."""

    circuit: CircuitBreaker
    clock: FakeClock
    calls: dict[str, Any] = field(default_factory=dict[str, Any])
    settled: list[str] = field(default_factory=list[str])

    @classmethod
    def make(cls, name: str) -> World:
        clock = FakeClock()
        world = cls(CircuitBreaker("step by step", POLICIES[name], clock=clock, random=lambda: 0.0), clock)
        circuit = world.circuit
        if name == "half-open":
            for _ in range(5):
                circuit.acquire().failure()
            clock.advance(1)
            for call in ("first", "last"):
                world.calls[call] = world.gate.enter()
            return world
        world.calls["first"] = world.gate.enter()
        # Where only one more call is needed, or calls are timed, no success must be looked at yet.
        healthy = name in ("one more call", "slow calls")
        for _ in range(2):
            permit = circuit.acquire()
            permit.success() if healthy else permit.failure()
        clock.advance(3)
        gone = world.gate.enter()
        for call in ("second", "third", "last", "untouched"):
            world.calls[call] = world.gate.enter()
        world.gate.leave(gone, None)  # while one before it still runs
        clock.advance(2)  # the first is overdue, where calls are timed
        return world

    @property
    def gate(self) -> Gate:
        return self.circuit.gate

    def end(self, call: str, verdict: Verdict) -> None:
        token = self.calls.get(call)
        if token is not None:
            self.settled.append(call)
            self.gate.leave(token, None) if verdict is Verdict.SUCCESS else self.gate.settle(token, verdict)

    def outcome(self) -> dict[str, object]:
        """Everything that can be told from outside, after all the rest has ended too."""
        figures: dict[str, object] = {name: getattr(self.circuit.snapshot(), name) for name in FIGURES}
        # Later calls must be seen to run, and to end, however the list of them was treated.
        for number in range(3):
            permit = self.circuit.try_acquire()
            if permit is not None:
                self.calls[f"later {number}"] = self.gate.enter() if permit.drop() else None
        self.clock.advance(4.5)
        figures["overdue later"] = self.circuit.snapshot().overdue
        for call in self.calls.keys() - set(self.settled):
            self.end(call, Verdict.IGNORED)
        figures["in flight at the end"] = self.circuit.snapshot().in_flight
        figures["overdue at the end"] = self.circuit.snapshot().overdue
        return figures


FIGURES = [
    "state", "era", "admitted", "succeeded", "failed", "ignored", "slow", "late", "rejected", "in_flight",
    "window_calls", "window_failures", "window_slow", "overdue", "consecutive_failures",
]  # fmt: skip


class Interrupted(Exception):
    """The second operation came while the first held the lock; a real thread would have waited."""


Operation = Callable[[World], None]


def start(name: str) -> Operation:
    def operation(world: World) -> None:
        try:
            world.calls[name] = world.gate.enter()
        except CircuitOpenError as error:
            if "finaliser" in error.reason:
                raise Interrupted from None

    return operation


def end(call: str, verdict: Verdict) -> Operation:
    return lambda world: world.end(call, verdict)


OPERATIONS: dict[str, Operation] = {
    "start": start("new"),
    "the first succeeds": end("first", Verdict.SUCCESS),
    "the second succeeds": end("second", Verdict.SUCCESS),
    "the last succeeds": end("last", Verdict.SUCCESS),
    "the third is ignored": end("third", Verdict.IGNORED),
    "the first fails": end("first", Verdict.FAILURE),
    "the last fails": end("last", Verdict.FAILURE),
    "reset": lambda world: world.circuit.reset(),
    "reload": lambda world: world.circuit.reload(world.circuit.policy),
    "only watch": lambda world: world.circuit.override(Mode.METRICS_ONLY),
}
SECOND = {**OPERATIONS, "start": start("newer")}
OF_ONE_CALL = [{"the first succeeds", "the first fails"}, {"the last succeeds", "the last fails"}]


@functools.cache
def opcodes(code: CodeType) -> dict[int, str]:
    return {instruction.offset: instruction.opname for instruction in dis.get_instructions(code)}


class Stepper:
    """Runs an operation and, at the point number ``at``, another one."""

    def __init__(self, world: World, at: int, other: Operation) -> None:
        self.world = world
        self.at = at
        self.other = other
        self.points = 0
        self.done = False
        self.last: dict[int, str] = {}

    def run(self, operation: Operation) -> None:
        watch = self.trace if sys.version_info < (3, 12) else self.monitor
        watch(operation)
        if not self.done and self.at < self.points:
            self.other(self.world)  # it had to wait for the lock

    def trace(self, operation: Operation) -> None:
        sys.settrace(self.enter_frame)
        try:
            operation(self.world)
        finally:
            sys.settrace(None)

    def enter_frame(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self.enter_instruction

    def enter_instruction(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            self.step(frame, frame.f_lasti)
        return self.enter_instruction

    def monitor(self, operation: Operation) -> None:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.use_tool_id(TOOL, "stepper")
        monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, self.enter_code)
        monitoring.set_events(TOOL, monitoring.events.INSTRUCTION)
        try:
            operation(self.world)
        finally:
            monitoring.set_events(TOOL, 0)
            monitoring.free_tool_id(TOOL)

    def enter_code(self, code: CodeType, offset: int) -> None:
        if code.co_filename.startswith(PACKAGE):
            self.step(sys._getframe(1), offset)

    def step(self, frame: FrameType, offset: int) -> None:
        previous = self.last.get(id(frame), "")
        self.last[id(frame)] = opcodes(frame.f_code).get(offset, "")
        if not previous.startswith(SWITCHES):
            return
        if self.points == self.at:
            try:
                self.other(self.world)
                self.done = True
            except Interrupted:
                pass
        self.points += 1


def one_after_the_other(name: str, *operations: Operation) -> dict[str, object]:
    world = World.make(name)
    for operation in operations:
        operation(world)
    return world.outcome()


def disagreements(name: str, first: Operation, second: Operation) -> tuple[int, list[str]]:
    """Return how many interruptions there are, and those whose outcome no order of the two explains."""
    legal = [one_after_the_other(name, first, second), one_after_the_other(name, second, first)]
    wrong: list[str] = []
    at = 0
    while True:
        world = World.make(name)
        stepper = Stepper(world, at, second)
        stepper.run(first)
        if at >= stepper.points:
            return at, wrong
        outcome = world.outcome()
        if outcome not in legal:
            odd = {key: value for key, value in outcome.items() if value not in [each[key] for each in legal]}
            expected = [{key: each[key] for key in odd} for each in legal]
            wrong.append(f"point {at}: {odd or outcome}, expected {expected}")
        at += 1


@pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work")
@pytest.mark.parametrize("first", OPERATIONS)
@pytest.mark.parametrize("name", POLICIES)
def test_an_interrupted_operation_ends_as_if_one_had_come_after_the_other(name: str, first: str) -> None:
    problems: list[str] = []
    for second in SECOND:
        pair = {first, second}
        if (len(pair) == 1 and first.startswith("the")) or pair in OF_ONE_CALL:
            continue  # a call ends once
        _, wrong = disagreements(name, OPERATIONS[first], SECOND[second])
        problems += [f"{second!r} interrupts {first!r} at {what}" for what in wrong]
    assert not problems, "\n".join(problems[:10])


def test_control_a_count_that_is_read_before_a_switch_and_written_after_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stepper itself must find a lost update where there is one."""

    def careless(gate: Gate) -> Any:
        lane = gate.machine.lane
        assert lane is not None
        admitted = lane.admitted
        len("a call: another thread may come")
        lane.admitted = admitted + 1
        return lane

    careless.__code__ = careless.__code__.replace(co_filename=PACKAGE + "/careless.py")
    monkeypatch.setattr(Gate, "enter", careless)
    _, wrong = disagreements("count window", OPERATIONS["start"], SECOND["start"])
    assert any("admitted" in what for what in wrong)
