"""What callers notice of a Redis that hangs, dies or is slow."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from harness.analysis import percentile
from harness.model import Case, Target, Unavailable

from .calls import open_circuit
from .experiment import Experiment, Figures, Run, amount, on_stage, peers_may_fail
from .libraries import PEERS, Bare, Holdfast, Rules
from .node import Node
from .stage import NodeProcess, Stage, first_to_tell

TICK = 0.001
DEPENDENCY = 0.005
"""Seconds that a guarded call takes."""
CALLERS = 20
SLOW = 0.5

STALL = Case(
    key="fleet-stall",
    title="longest stall of the event loop while Redis hangs for 2 s",
    what=(
        "An event loop with a timer every millisecond and 20 tasks that make calls of 5 ms through a closed "
        "circuit; the server is stopped (SIGSTOP) for 2 s. The longest time that the timer came too late. "
        "Also with failures in the traffic, which are reported, and with a second circuit that is half-open, "
        "so that calls ask for probes all the time. The floor, the same loop without a breaker, shows what "
        "the machine itself does."
    ),
    unit="ms",
    rounds=3,
    pinned=False,
    group="fleet",
    targets=(
        Target("Holdfast", "value", 5.0),
        Target("Holdfast, with failures", "value", 5.0),
        Target("Holdfast, half-open too", "value", 5.0),
    ),
)
FAULTS = {
    "killed": "is killed (SIGKILL) and returns empty",
    "hung": "hangs (SIGSTOP)",
    "slow": "answers half a second late",
}


def _case(fault: str) -> Case:
    return Case(
        key=f"fleet-outage-{fault}",
        title=f"Redis {fault}: what calls notice",
        what=(
            "20 tasks make calls of 5 ms through a closed circuit, and 20 through one whose dependency "
            f"is down, so that it goes on being probed; after 2 s of this, Redis {FAULTS[fault]} for 5 "
            "s, and traffic goes on until a second after its return was told, both dependencies "
            "healthy. A call has failed when it raises anything but a rejection or what the dependency "
            "raised. The wait is what a call took beyond its dependency's 5 ms, admission included. "
            "Calls without a breaker run alongside: their rows show what the machine does to a call. "
            "The peers run at the same time as each other, each in a process of its own."
        ),
        unit="",
        rounds=1,
        pinned=False,
        group="fleet",
        targets=(
            Target("Holdfast, calls failed", "worst", 0.0),
            Target("Holdfast, longest wait (ms)", "worst", 100.0),
            Target("Holdfast, p99 of the closed circuit, in the outage / before", "worst", 1.05),
            Target(
                "Holdfast, p99 of the closed circuit, in the outage / before",
                "growth",
                1.05,
                against="Holdfast, p99 of calls without a breaker alongside, in the outage / before",
            ),
            Target("Holdfast, told of the loss (times)", "exactly", 1.0),
            Target("Holdfast, told of the return (times)", "exactly", 1.0),
        ),
    )


OUTAGES = {fault: _case(fault) for fault in FAULTS}
CASES = (STALL, *OUTAGES.values())


class DependencyDown(Exception):
    """What a dependency raises; no library has an error of this name."""


async def answer(value: int) -> int:
    """A dependency that takes 5 ms."""
    await asyncio.sleep(DEPENDENCY)
    return value


# -- orders ----------------------------------------------------------------------------------------


async def stall(node: Node, label: str, failures: bool, probed: str) -> float:
    """Seconds that a timer of 1 ms came too late at most, until the stage sets "enough"."""
    library, enough = node.libraries[label], node.event("enough")
    number = 0

    async def dependency(value: int) -> int:
        nonlocal number
        number += 1
        await asyncio.sleep(DEPENDENCY)
        # Two in a row at most: the circuit stays closed.
        if failures and number % 10 in (0, 1):
            raise DependencyDown
        return value

    guards = [library.guard("stall", dependency)] * CALLERS
    if probed:
        guards += [library.guard(probed, be_down)] * CALLERS

    async def caller(guarded: Any) -> None:
        while not enough.is_set():
            try:
                await guarded(1)
            except DependencyDown:
                continue
            except Exception:
                await asyncio.sleep(DEPENDENCY)

    async with asyncio.TaskGroup() as group:
        for each in guards:
            group.create_task(caller(each))
        await asyncio.sleep(0.3)
        node.tell("running")
        return await _longest_lateness(enough)


async def _longest_lateness(enough: asyncio.Event) -> float:
    longest, last = 0.0, time.perf_counter()
    while not enough.is_set():
        await asyncio.sleep(TICK)
        now = time.perf_counter()
        longest, last = max(longest, now - last - TICK), now
    return longest


async def be_down(value: int) -> int:
    """A dependency that has not recovered: the circuit opens again after each probe."""
    await asyncio.sleep(DEPENDENCY)
    raise DependencyDown


class _Traffic:
    """What happened to the calls of one circuit."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {"before": [], "broken": [], "healed": []}
        self.failed: list[str] = []
        self.admitted = 0
        self.longest = 0.0

    async def call(self, node: Node, guarded: Any, rejections: Any) -> None:
        """Call until the stage sets "enough"."""
        broken, healed, enough = (node.event(name) for name in ("broken", "healed", "enough"))
        while not enough.is_set():
            place = "healed" if healed.is_set() else "broken" if broken.is_set() else "before"
            began, own = time.perf_counter(), DEPENDENCY
            try:
                await guarded(1)
                self.admitted += 1
            except DependencyDown:
                self.admitted += 1
            except rejections:
                own = 0.0
            except Exception as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            took = time.perf_counter() - began
            self.times[place].append(took)
            self.longest = max(self.longest, took - own)
            if not own:
                await asyncio.sleep(DEPENDENCY)


async def traffic(node: Node, label: str, probed: str) -> dict[str, Any]:
    """Make calls through a closed circuit and a probed one until the stage has set "enough"."""
    library = node.libraries[label]
    healed = node.event("healed")
    closed, half_open, bare = _Traffic(), _Traffic(), _Traffic()
    events: list[str] = []
    if isinstance(library, Holdfast):
        library.listen(lambda name: node.tell(name) if name == "StoreRecovered" else None)
        events = library.events

    async def recovering(value: int) -> int:
        return await (answer if healed.is_set() else be_down)(value)

    guards = (
        (closed, library.guard("good", answer)),
        (half_open, library.guard(probed, recovering)),
        (bare, answer),
    )
    node.tell("running")
    async with asyncio.TaskGroup() as group:
        for each, guarded in guards:
            for _ in range(CALLERS):
                group.create_task(each.call(node, guarded, library.rejections))
    if isinstance(library, Holdfast):
        library.breakers.flush_listeners()
    return {
        "failed": closed.failed + half_open.failed,
        "longest": max(closed.longest, half_open.longest),
        "alongside": bare.longest,
        "closed": closed.times,
        "bare": bare.times,
        "admitted": half_open.admitted,
        "degraded": events.count("StoreDegraded"),
        "recovered": events.count("StoreRecovered"),
    }


# -- stalls ----------------------------------------------------------------------------------------


def _stall(
    case: Case, subject: str, label: str, *, failures: bool = False, probed: bool = False, rounds: int = 3
) -> None:
    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], Rules(wait=0.2, probes=1))
        return lambda: {"": _one_stall(stage, node, label, failures, "probed" if probed else "")}

    Experiment(label, lambda: on_stage(Stage(), prepare), rounds).add(
        case, subject, floor=subject.startswith("floor")
    )


def _one_stall(stage: Stage, node: NodeProcess, label: str, failures: bool, probed: str) -> float:
    if probed:
        node.call(open_circuit, label, probed)
    node.begin(stall, label, failures, probed)
    assert node.hear() == "running"
    with stage.server.frozen():
        time.sleep(amount(2.0, 0.2))
    time.sleep(0.2)
    node.set("enough")
    return float(node.result()) * 1000


_stall(STALL, "floor: no breaker", Bare.label)
_stall(STALL, "Holdfast", Holdfast.label)
_stall(STALL, "Holdfast, with failures", Holdfast.label, failures=True)
_stall(STALL, "Holdfast, half-open too", Holdfast.label, probed=True)
for _label in PEERS:
    _stall(STALL, _label, _label, rounds=1)


# -- outages ---------------------------------------------------------------------------------------


def _outage(fault: str, labels: tuple[str, ...]) -> Experiment:
    def prepare(stage: Stage) -> Run:
        # A small run has a short outage, which must be noticed as well.
        rules = Rules(wait=0.3, probes=3, interval=amount(1.0, 0.1))
        nodes: dict[str, NodeProcess] = {}
        for label in labels:
            try:
                with peers_may_fail(label):
                    (nodes[label],) = stage.add(1, [label], rules)
            except Unavailable as error:
                stage.missing[label] = str(error)
        return lambda: _one_outage(stage, nodes, fault)

    return Experiment(labels[0], lambda: on_stage(Stage(proxied=fault == "slow"), prepare), 1)


def _one_outage(stage: Stage, nodes: dict[str, NodeProcess], fault: str) -> Figures:
    for label, node in nodes.items():
        node.call(open_circuit, label, f"probed by {label}")
        node.begin(traffic, label, f"probed by {label}")
        assert node.hear() == "running"
    time.sleep(amount(2.0, 0.5))
    for node in nodes.values():
        node.set("broken")
    _break_for(stage, fault, amount(5.0, 1.2))
    for node in nodes.values():
        node.set("healed")
    if Holdfast.label in nodes:
        first_to_tell([nodes[Holdfast.label]], 10.0)  # when nothing is told, the figures will show it
    time.sleep(1.0)
    for node in nodes.values():
        node.set("enough")
    figures: Figures = {}
    for label, node in nodes.items():
        found = node.result()
        assert found["admitted"] or label in PEERS, "the circuit that is probed let nothing through"
        for figure in ("degraded", "recovered"):
            figures[f"{label} {figure}"] = float(found[figure])
        figures[f"{label} failed"] = float(len(found["failed"]))
        figures[f"{label} longest"] = found["longest"] * 1000
        figures[f"{label} alongside"] = found["alongside"] * 1000
        for figure in ("closed", "bare"):
            figures[f"{label} {figure}"] = _p99(found[figure]["broken"]) / _p99(found[figure]["before"])
    return figures


def _break_for(stage: Stage, fault: str, seconds: float) -> None:
    server = stage.server
    if fault == "hung":
        with server.frozen():
            time.sleep(seconds)
    elif fault == "killed":
        server.kill()
        time.sleep(seconds)
        server.start()
    else:
        with stage.proxy.latency(SLOW / 2):
            time.sleep(seconds)


def _p99(values: list[float]) -> float:
    return percentile(values, 0.99) if values else float("nan")


LABELS = {
    "failed": "calls failed",
    "longest": "longest wait (ms)",
    "alongside": "longest wait of calls without a breaker alongside (ms)",
    "closed": "p99 of the closed circuit, in the outage / before",
    "bare": "p99 of calls without a breaker alongside, in the outage / before",
    "degraded": "told of the loss (times)",
    "recovered": "told of the return (times)",
}
for _fault, _outage_case in OUTAGES.items():
    _experiment = _outage(_fault, (Holdfast.label,))
    for _figure, _words in LABELS.items():
        _experiment.add(_outage_case, f"Holdfast, {_words}", f"{Holdfast.label} {_figure}")
    _experiment = _outage(_fault, PEERS)
    for _label in PEERS:
        for _figure in ("failed", "longest", "closed"):
            _experiment.add(
                _outage_case, f"{_label}, {LABELS[_figure]}", f"{_label} {_figure}", library=_label
            )
