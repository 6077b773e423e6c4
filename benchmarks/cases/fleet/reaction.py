"""How fast a fleet reacts: to a trip, to a probe that is cancelled, to the death of the one that probes."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Iterator

from harness.model import Case, Target

from .calls import fail, open_circuit, probe, until_rejected, work_async
from .experiment import Experiment, Figures, Run, amount, on_stage
from .libraries import PEERS, Holdfast, Interlock, Rules
from .node import Node
from .stage import NodeProcess, Stage, everybody, first_to_tell
from .tally import Tally

PROCESSES = 20
PACE = 0.002
"""Seconds between two calls of a process that waits for something to change."""
LEASE = 1.0
BACK = 20
"""Calls that are let through only when the circuit has closed."""
GIVE_UP = 8.0
"""Seconds after which nothing is expected any more."""

_PUSHED, _POLLED = "Holdfast", "Holdfast, without pub/sub"

TRIP = Case(
    key="fleet-trip",
    title="all nodes reject after a trip, 20 processes",
    what=(
        "20 processes share a circuit and call it every 2 ms. In one of them calls fail until the "
        "circuit opens there; from the start of the last failing call until the first rejection in the "
        "process that is the last to reject. A circuit of its own for each trip. Without pub/sub "
        "changes arrive with the next exchange, here every 1 s; the target is 1.1 intervals + "
        "`sync_timeout` (0.25 s)."
    ),
    unit="ms",
    rounds=40,
    pinned=False,
    group="fleet",
    targets=(
        Target(_PUSHED, "value", 10.0),
        Target(_PUSHED, "p99", 50.0),
        Target(_POLLED, "worst", 1350.0),
    ),
)
KILL = Case(
    key="fleet-kill",
    title="recovery after kill -9 of the prober, traffic on",
    what=(
        f"4 processes call an open circuit every 2 ms, 3 probes permitted, a lease of {LEASE:g} s; the "
        "one that probes first is killed in the middle of its probe. From SIGKILL to the next call that "
        f"is let through in another process, and until {BACK} calls were let through, which takes a "
        "closed circuit. Where a single probe is permitted, a lost one is all there is to decide by: "
        f"the circuit opens again, here for 0.5 s more. {GIVE_UP:g} s: it had not happened by then."
    ),
    unit="s",
    rounds=6,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast, next probe", "worst", LEASE + 0.2),),
)
CANCEL = Case(
    key="fleet-cancel",
    title="a cancelled probe gives its permit back",
    what=(
        "The task that probes is cancelled while 19 other processes call every 2 ms: from "
        "`task.cancel()` until the permit is gone from Redis, and until a call is let through "
        "elsewhere."
    ),
    unit="ms",
    rounds=25,
    pinned=False,
    group="fleet",
    targets=(
        Target("Holdfast, permit back in Redis", "p99", 50.0),
        Target("Holdfast, next probe elsewhere", "p99", 50.0),
    ),
)
CASES = (TRIP, KILL, CANCEL)


# -- orders ----------------------------------------------------------------------------------------


async def watch(node: Node, label: str, name: str) -> float:
    """Call a closed circuit until it rejects; returns when that was, on the clock of all processes."""
    library = node.libraries[label]
    guarded = library.guard(name, work_async)
    await guarded(1)
    node.tell("ready")
    last = time.monotonic() + GIVE_UP
    while time.monotonic() < last:
        try:
            await guarded(1)
        except library.rejections:
            return time.monotonic()
        await asyncio.sleep(PACE)
    return float("inf")


async def trip_now(node: Node, label: str, name: str) -> float:
    """Fail until a circuit is open; returns when the failure that opened it began."""
    library = node.libraries[label]
    failing = library.guard(name, fail)
    began = last = time.monotonic()
    # Where all processes share one count, a success elsewhere may come in between.
    for _ in range(2_000):
        began, last = last, time.monotonic()
        try:
            await failing(1)
        except library.rejections:
            # Some reject the call that opens the circuit, others the next one.
            return began
        except ConnectionError:
            continue
    raise AssertionError("the circuit did not open")


async def try_until_let_through(node: Node, label: str, name: str) -> str:
    """Call every 2 ms until a call is let through, which is told, and lasts until the stage sets "enough"."""
    library, enough = node.libraries[label], node.event("enough")

    async def arrive(value: int) -> int:
        node.tell(time.monotonic())
        await enough.wait()
        return value

    guarded = library.guard(name, arrive)
    while not enough.is_set():
        try:
            await guarded(1)
            return "let through"
        except library.rejections:
            await asyncio.sleep(PACE)
    return "rejected"


async def keep_calling(node: Node, label: str, name: str) -> None:
    """Call every 2 ms and tell each call that is let through; the first one of all processes never ends."""
    library, enough = node.libraries[label], node.event("enough")
    tally: Tally = node.kept["tally"]

    async def arrive(value: int) -> int:
        first = tally.enter() == 1
        node.tell(time.monotonic())
        if first:
            await asyncio.sleep(3600)
        return value

    guarded = library.guard(name, arrive)
    while not enough.is_set():
        try:
            await guarded(1)
        except library.rejections:
            pass
        await asyncio.sleep(PACE)


async def cancel_probe(node: Node, label: str, name: str) -> float:
    """Probe in a task until the stage sets "cancel"; returns when the task was cancelled."""
    task = asyncio.ensure_future(probe(node, label, name))
    await node.event("cancel").wait()
    at = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    return at


# -- a trip ----------------------------------------------------------------------------------------


def _trips(label: str, rules: Rules, rounds: int | None) -> Experiment:
    def prepare(stage: Stage) -> Run:
        nodes = stage.add(amount(PROCESSES, 3), [label], rules)
        names = (f"trip-{number}" for number in itertools.count())
        return lambda: _one_trip(nodes, label, next(names))

    return Experiment(label, lambda: on_stage(Stage(), prepare), rounds)


def _one_trip(nodes: list[NodeProcess], label: str, name: str) -> Figures:
    """Milliseconds until the other processes reject."""
    tripping, *watching = nodes
    for each in watching:
        each.begin(watch, label, name)
    for each in watching:
        assert each.hear() == "ready"
    at = tripping.call(trip_now, label, name)
    times = [(each.result() - at) * 1000 for each in watching]
    return {"last": max(times), "median": statistics.median(times)}


_pushed = _trips(Holdfast.label, Rules(), None)
_pushed.add(TRIP, _PUSHED, "last")
_pushed.add(TRIP, f"{_PUSHED}, the process in the middle", "median")
_trips(Holdfast.label, Rules(push=False), 10).add(TRIP, _POLLED, "last")
for _label in PEERS:
    # Where the count is kept in Redis, every success of another process sets it back: one failure must do.
    _trips(_label, Rules(failures=5 if _label == Interlock.label else 1), 6).add(TRIP, _label, "last")


# -- the death of the prober -----------------------------------------------------------------------


def _kill(label: str, rounds: int | None, probes: int = 3) -> Experiment:
    wait = 0.5 if label == Holdfast.label else 2.5

    def prepare(stage: Stage) -> Run:
        rules = Rules(wait=wait, probes=probes, lease=amount(LEASE, 0.2))
        tally = Tally()
        nodes = stage.add(4, [label], rules, shared={"tally": tally})
        names = (f"kill-{number}" for number in itertools.count())

        def run() -> Figures:
            tally.begin()
            prober, figures = _one_kill(nodes, label, next(names))
            prober.close()
            nodes.remove(prober)
            stage.nodes.remove(prober)
            nodes.extend(stage.add(1, [label], rules, shared={"tally": tally}))
            return figures

        return run

    return Experiment(label, lambda: on_stage(Stage(), prepare), rounds)


def _one_kill(nodes: list[NodeProcess], label: str, name: str) -> tuple[NodeProcess, Figures]:
    nodes[0].call(open_circuit, label, name)
    everybody(nodes, until_rejected, label, name)
    for each in nodes:
        each.begin(keep_calling, label, name)
    found = first_to_tell(nodes, GIVE_UP)
    if found is None:
        raise AssertionError("nobody probes")
    prober = found[0]
    prober.kill()
    others = [each for each in nodes if each is not prober]
    times: list[float] = []
    last = prober.killed_at + GIVE_UP
    while len(times) < BACK and time.monotonic() < last:
        found = first_to_tell(others, max(0.0, last - time.monotonic()))
        if found is not None and found[1] > prober.killed_at:
            times.append(found[1] - prober.killed_at)
    for each in others:
        each.set("enough")
    for each in others:
        each.result()
        each.told.clear()
    return prober, {
        "next": min(times, default=GIVE_UP),
        "back": max(times) if len(times) == BACK else GIVE_UP,
    }


for _label, _kind, _rounds, _probes in (
    (Holdfast.label, "Holdfast", None, 3),
    (Holdfast.label, "Holdfast, a single probe permitted", 2, 1),
    (Interlock.label, "interlock-cb", 1, 3),
):
    _killing = _kill(_label, _rounds, _probes)
    _killing.add(KILL, f"{_kind}, next probe", "next")
    _killing.add(KILL, f"{_kind}, traffic back", "back")


# -- a cancelled probe -----------------------------------------------------------------------------


def _cancelled() -> Experiment:
    label = Holdfast.label
    rules = Rules(wait=0.3, probes=1, lease=10.0)

    def prepare(stage: Stage) -> Run:
        nodes = stage.add(amount(PROCESSES, 3), [label], rules)
        names: Iterator[str] = (f"cancel-{number}" for number in itertools.count())
        return lambda: _one_cancellation(stage, nodes, label, next(names))

    return Experiment(label, lambda: on_stage(Stage(), prepare))


def _one_cancellation(stage: Stage, nodes: list[NodeProcess], label: str, name: str) -> Figures:
    prober, *others = nodes
    prober.call(open_circuit, label, name)
    prober.begin(cancel_probe, label, name)
    assert prober.hear(GIVE_UP) == "probing"
    everybody(others, until_rejected, label, name)
    for each in others:
        each.begin(try_until_let_through, label, name)
    permits = _permits_key(stage, name)
    (permit,) = stage.server.admin.zrange(permits, 0, -1)
    prober.set("cancel")
    last = time.monotonic() + GIVE_UP
    while stage.server.admin.zscore(permits, permit) is not None and time.monotonic() < last:
        pass  # asking is the fastest way to know
    gone = time.monotonic()
    found = first_to_tell(others, GIVE_UP)
    cancelled = prober.result()
    for each in others:
        each.set("enough")
    for each in others:
        each.result()
        each.told.clear()
    elsewhere = float("inf") if found is None else found[1] - cancelled
    return {"back": max(0.0, gone - cancelled) * 1000, "elsewhere": elsewhere * 1000}


def _permits_key(stage: Stage, name: str) -> str:
    """The key of a circuit's permits, found by its name's end: the layout is the store's business."""
    found = [key for key in stage.server.admin.keys("*") if key.endswith(b":p:" + name.encode())]
    assert len(found) == 1, found
    return str(found[0].decode())


_cancellations = _cancelled()
_cancellations.add(CANCEL, "Holdfast, permit back in Redis", "back")
_cancellations.add(CANCEL, "Holdfast, next probe elsewhere", "elsewhere")
