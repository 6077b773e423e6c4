"""How many calls a recovering dependency gets from a fleet, and what that costs the server."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator

from harness.model import Case, Target

from .calls import open_circuit, probe, until_rejected, work_async
from .experiment import Experiment, Figures, Run, amount, on_stage, single
from .libraries import PEERS, Holdfast, Interlock, Rules
from .node import Node
from .stage import NodeProcess, Stage, everybody, first_to_tell
from .tally import Tally

PROCESSES = 20
CALLERS = 500
"""In each process."""
PACE = 0.4
"""Seconds, on average, between two calls of a caller that was rejected."""
PERMITTED = 3
EVERYBODY = -1
"""Word of a node: each of its tasks has made a call."""
TRIES = 20
GRACE = 0.1
"""Seconds that callers go on after the last permitted probe has begun: a further one would be let through."""

COUNT = Case(
    key="fleet-probes",
    title="probes admitted, 20 processes, 10 000 concurrent callers",
    what=(
        f"An open circuit that permits {PERMITTED} probes, one at a time, all of which must succeed; "
        f"{PROCESSES} processes with {CALLERS} tasks each call it over and over, through the end of its "
        "wait. A probe takes 5 ms, the third one lasts until the count is over, so that the circuit does not "
        "close. Counted where calls arrive, in memory that the processes share. pybreaker, aiobreaker and "
        "purgatory have no such setting."
    ),
    unit="calls",
    rounds=50,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "worst", float(PERMITTED)), Target("Holdfast, at once", "worst", 1.0)),
)
LOAD = Case(
    key="fleet-half-open-load",
    title="Redis load in half-open, per process",
    what=(
        "4 processes, 3 of them with 50 tasks that call a half-open circuit 1 000 times a second together, "
        "while the fourth one probes; commands that reach the server in 2 s, per process and second."
    ),
    unit="commands/s",
    rounds=2,
    pinned=False,
    group="fleet",
    targets=(
        Target("Holdfast", "worst", 20.0),
        Target("Holdfast, as fast as they can", "worst", 20.0),
    ),
)
CASES = (COUNT, LOAD)


# -- orders ----------------------------------------------------------------------------------------


async def call_over_and_over(node: Node, label: str, name: str, callers: int) -> int:
    """Have so many tasks call until the stage sets "enough"; returns how many calls were made."""
    library, enough = node.libraries[label], node.event("enough")
    tally: Tally = node.kept["tally"]
    calls, waiting = 0, callers

    async def arrive(value: int) -> int:
        number = tally.enter()
        try:
            node.tell(number)
            if number < PERMITTED:
                await asyncio.sleep(0.005)
            else:
                await enough.wait()
        finally:
            tally.leave()
        return value

    guarded = library.guard(name, arrive)

    async def caller() -> None:
        nonlocal calls, waiting
        await asyncio.sleep(PACE * random.random())
        first = True
        while not enough.is_set():
            calls += 1
            waiting -= first
            if first and not waiting:
                node.tell(EVERYBODY)
            first = False
            try:
                await guarded(1)
            except library.rejections:
                pass
            except Exception:
                # A pool of connections that is empty, for instance: that caller goes on as well.
                if isinstance(library, Holdfast):
                    raise
            await asyncio.sleep(PACE * (0.5 + random.random()))

    node.tell("ready")
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return calls


async def call_at_rate(node: Node, label: str, name: str, rate: float) -> int:
    """Call until the stage sets "enough", so often a second (0: as fast as possible); returns how often."""
    library, enough = node.libraries[label], node.event("enough")
    guarded = library.guard(name, work_async)
    calls, tasks = 0, 50

    async def caller() -> None:
        nonlocal calls
        due = time.monotonic() + random.random() * tasks / (rate or 1e9)
        while not enough.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += tasks / rate if rate else 0.0
            for _ in range(1 if rate else 20):
                calls += 1
                try:
                    await guarded(1)
                except library.rejections:
                    continue

    node.tell("ready")
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(caller())
    return calls


# -- probes ----------------------------------------------------------------------------------------


def _count(label: str, rounds: int | None) -> Experiment:
    rules = Rules(wait=_wait(label), probes=PERMITTED, every_probe=True)

    def prepare(stage: Stage) -> Run:
        tally = Tally()
        nodes = stage.add(amount(PROCESSES, 3), [label], rules, shared={"tally": tally})
        names = (f"probes-{number}" for number in itertools.count())
        return lambda: _one_recovery(nodes, tally, label, names)

    return Experiment(label, lambda: on_stage(Stage(), prepare), rounds)


def _one_recovery(nodes: list[NodeProcess], tally: Tally, label: str, names: Iterator[str]) -> Figures:
    for _ in range(TRIES):
        name = next(names)
        nodes[0].call(open_circuit, label, name)
        opened = time.monotonic()
        everybody(nodes, until_rejected, label, name)
        if time.monotonic() - opened < _wait(label) * 0.8:
            break
    else:
        raise AssertionError("the machine is too busy: the wait was over before all processes knew of it")
    tally.begin()
    for each in nodes:
        each.begin(call_over_and_over, label, name, amount(CALLERS, 20))
    for each in nodes:
        assert each.hear() == "ready"
    seen, complete, last = 0, 0, time.monotonic() + (20.0 if label == Holdfast.label else 8.0)
    while (seen < PERMITTED or complete < len(nodes)) and time.monotonic() < last:
        found = first_to_tell(nodes, last - time.monotonic())
        if found is not None and found[1] == EVERYBODY:
            complete += 1
        elif found is not None:
            seen = max(seen, int(found[1]))
    time.sleep(GRACE)
    arrived, _, most = tally.numbers[:]
    for each in nodes:
        each.set("enough")
    for each in nodes:
        each.result()
        each.told.clear()
    assert seen >= PERMITTED, f"{arrived} probes of {PERMITTED} in time"
    if label == Holdfast.label:
        assert complete == len(nodes), f"all tasks of only {complete} processes made a call in time"
    return {"arrived": float(arrived), "most": float(most)}


def _wait(label: str) -> float:
    """Seconds in the open state: some need more than one to learn of it, others know whole seconds only."""
    return 0.5 if label == Holdfast.label else 5.0


_holdfast = _count(Holdfast.label, None)
_holdfast.add(COUNT, "Holdfast", "arrived")
_holdfast.add(COUNT, "Holdfast, at once", "most")
for _label in PEERS:
    _peer = _count(_label, 1)
    _peer.add(COUNT, _label, "arrived")
    _peer.add(COUNT, f"{_label}, at once", "most")


# -- load ------------------------------------------------------------------------------------------


def _load(label: str, rate: float, rounds: int | None = None) -> Experiment:
    rules = Rules(wait=0.3 if label == Holdfast.label else 2.5, probes=1)

    def prepare(stage: Stage) -> Run:
        nodes = stage.add(4, [label], rules)
        names = (f"load-{number}" for number in itertools.count())
        return single(lambda: _one_half_open(stage, nodes, label, next(names), rate))

    return Experiment(label, lambda: on_stage(Stage(), prepare), rounds)


def _one_half_open(stage: Stage, nodes: list[NodeProcess], label: str, name: str, rate: float) -> float:
    prober, *others = nodes
    prober.call(open_circuit, label, name)
    prober.begin(probe, label, name)
    assert prober.hear(10.0) == "probing"
    everybody(others, until_rejected, label, name, 0.1 if label == Holdfast.label else 2.2)
    for each in others:
        each.begin(call_at_rate, label, name, rate)
    for each in others:
        assert each.hear() == "ready"
    seconds = amount(2.0, 0.5)
    time.sleep(0.1)
    sent, _ = stage.commands(lambda: time.sleep(seconds))
    for each in nodes:
        each.set("enough")
    calls = [each.result() for each in nodes][1:]
    if label == Holdfast.label and rate:
        assert min(calls) >= rate * seconds / 2, f"only {calls} calls were made"
    return sent / seconds / len(nodes)


_load(Holdfast.label, 1_000).add(LOAD, "Holdfast")
_load(Holdfast.label, 0.0).add(LOAD, "Holdfast, as fast as they can")
_load(Interlock.label, 1_000, 1).add(LOAD, "interlock-cb")
