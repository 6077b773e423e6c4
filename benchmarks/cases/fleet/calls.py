"""What a call of a shared circuit costs: commands, time, throughput; what an idle circuit holds."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from harness.environments import FLEET
from harness.model import Builder, Case, Prepared, Target, settings

from .experiment import Experiment, Run, amount, on_stage, peers_may_fail, single
from .libraries import (
    PEERS,
    AioBreaker,
    Bare,
    Holdfast,
    HoldfastLocal,
    Interlock,
    Purgatory,
    PyBreaker,
    Rules,
)
from .node import Node
from .stage import Stage

TASKS = 100
SLOW = 0.001

HEALTHY_COMMANDS = Case(
    key="fleet-commands-healthy",
    title="Redis commands per healthy call",
    what=(
        "Commands that reach the server (MONITOR) while one process makes calls that succeed, divided by the "
        "calls: 20 000 for Holdfast, 200 for the others. What a process sends however many calls it makes is "
        "kept out by a long interval; it is in `fleet-idle`."
    ),
    unit="commands",
    rounds=3,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "worst", 0.0),),
)
REJECTED_COMMANDS = Case(
    key="fleet-commands-rejected",
    title="Redis commands per rejected call",
    what="The same with the circuit open.",
    unit="commands",
    rounds=3,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "worst", 0.0),),
)
_LATENCY = (
    "One call of a guarded function that returns its argument, Redis on the same machine without any delay. "
    "CPU time of the process where a call waits for nothing; the wall clock for aiobreaker, pybreaker and "
    "purgatory, whose calls wait for Redis. Floor: Holdfast's circuit in memory, in the same process. "
    "Consecutive failures but for the rows that say window, whose measure is the window policy in memory."
)
HEALTHY_SYNC = Case(
    key="fleet-healthy-sync",
    title="latency of a healthy shared call, sync",
    what=_LATENCY,
    pinned=False,
    group="fleet",
    targets=(
        Target("Holdfast", "ratio", 1.2),
        Target("Holdfast, window policy", "growth", 1.2, against="Holdfast, window policy in memory"),
    ),
)
HEALTHY_ASYNC = Case(
    key="fleet-healthy-async",
    title="latency of a healthy shared call, async",
    what=_LATENCY.replace("One call", "One awaited call"),
    pinned=False,
    group="fleet",
    targets=(
        Target("Holdfast", "ratio", 1.2),
        Target("Holdfast, window policy", "growth", 1.2, against="Holdfast, window policy in memory"),
    ),
)
THROUGHPUT = Case(
    key="fleet-throughput",
    title="throughput of no-op calls, 100 tasks, Redis 1 ms away",
    what=(
        "100 tasks of one event loop call a guarded coroutine function that gives way once "
        "(`asyncio.sleep(0)`), as fast as they can; answers of Redis come 1 ms later, through a proxy in "
        "another process. Floor: Holdfast's circuit in memory, likewise."
    ),
    unit="calls/s",
    rounds=5,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "least", 100_000), Target("Holdfast", "share", 1 / 3)),
)
HALF_OPEN = Case(
    key="fleet-rejected-half-open",
    title="a rejected call in half-open",
    what=(
        "`await guarded(1)` while another process probes, `try` and `except` included; Redis on the same "
        "machine without delay. CPU time for Holdfast, whose call waits for nothing, the wall clock for "
        "interlock-cb, whose call waits for Redis. The other peers let such calls through. The floor is a "
        "call that an open circuit in memory rejects."
    ),
    rounds=15,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "value", 2.0),),
)
HALF_OPEN_COMMANDS = Case(
    key="fleet-commands-half-open",
    title="Redis commands per rejected call in half-open",
    what="Commands that reach the server during the calls above, divided by the calls.",
    unit="commands",
    rounds=3,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "worst", 0.0),),
)
IDLE = Case(
    key="fleet-idle",
    title="1 000 idle circuits in one process: commands",
    what=(
        "1 000 circuits of one process, each called once with success, then left alone for 4 s with Redis "
        "at hand; commands that reach the server in that time."
    ),
    unit="commands/s",
    rounds=2,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "worst", 2.0),),
)
IDLE_THREADS = Case(
    key="fleet-idle-threads",
    title="1 000 idle circuits in one process: threads and tasks",
    what="Threads and asyncio tasks that the circuits above have started.",
    unit="threads and tasks",
    rounds=1,
    pinned=False,
    group="fleet",
    targets=(Target("Holdfast", "worst", 1.0),),
)
MEMORY = Case(
    key="fleet-memory",
    title="memory of an idle shared circuit",
    what=(
        "1 000 shared circuits, each called once with success; growth of `tracemalloc`'s total per circuit, "
        "names and registries included."
    ),
    unit="bytes",
    rounds=1,
    pinned=False,
    group="fleet",
)
CASES = (
    HEALTHY_COMMANDS,
    REJECTED_COMMANDS,
    HEALTHY_SYNC,
    HEALTHY_ASYNC,
    THROUGHPUT,
    HALF_OPEN,
    HALF_OPEN_COMMANDS,
    IDLE,
    IDLE_THREADS,
    MEMORY,
)
WAITING = (AioBreaker.label, PyBreaker.label, Purgatory.label)
"""Their calls wait for Redis, whatever the state."""
QUIET = Rules(interval=60.0)
QUIET_WINDOW = Rules(interval=60.0, window=True)


def work(value: int) -> int:
    """What is guarded."""
    return value


async def work_async(value: int) -> int:
    """What is guarded, as a coroutine function."""
    return value


async def give_way(value: int) -> int:
    """What is guarded: lets other tasks run once."""
    await asyncio.sleep(0)
    return value


async def fail(value: int) -> int:
    raise ConnectionError("the dependency is down")


# -- orders ----------------------------------------------------------------------------------------


async def guard(node: Node, label: str, key: str, name: str, function: Callable[..., Any]) -> None:
    """Guard a function by a circuit, and check it."""
    guarded = node.libraries[label].guard(name, function)
    answer = guarded(7)
    assert (await answer if asyncio.iscoroutine(answer) else answer) == 7
    node.kept[key] = guarded


async def open_circuit(node: Node, label: str, name: str) -> None:
    """Make calls fail until a circuit rejects."""
    library = node.libraries[label]
    await trip(library.guard(name, fail), library.rejections)


async def trip(failing: Callable[[int], Any], rejections: tuple[type[BaseException], ...]) -> None:
    """Fail until the circuit answers by itself."""
    for _ in range(50):
        try:
            await failing(1)
        except rejections:
            return
        except ConnectionError:
            continue
    raise AssertionError("the circuit did not open")


async def make_calls(node: Node, key: str, count: int) -> None:
    """Make so many calls."""
    guarded = node.kept[key]
    for _ in range(count):
        await guarded(1)


async def make_rejected_calls(node: Node, label: str, key: str, count: int) -> float:
    """Make so many calls that must be rejected; returns the µs that each took."""
    guarded, rejections = node.kept[key], node.libraries[label].rejections
    clock = time.process_time if label.startswith(Holdfast.label) else time.perf_counter
    began = clock()
    for _ in range(count):
        try:
            await guarded(1)
        except rejections:
            continue
        raise AssertionError("a call was let through")
    return (clock() - began) / count * 1e6


async def time_calls(node: Node, key: str, seconds: float) -> float:
    """Microseconds of a call, over about so many seconds."""
    clock = time.perf_counter if key.startswith(WAITING) else time.process_time
    guarded, count = node.kept[key], node.kept.get(f"count of {key}", 0)
    if not count:
        count = 1
        while (elapsed := await _elapsed(guarded, count, clock)) < seconds / 4:
            count = count * 4
        count = node.kept[f"count of {key}"] = max(1, round(count * seconds / elapsed))
    gc.collect()
    return await _elapsed(guarded, count, clock) / count * 1e6


async def _elapsed(guarded: Callable[[int], Any], count: int, clock: Callable[[], float]) -> float:
    if asyncio.iscoroutinefunction(guarded):
        began = clock()
        for _ in range(count):
            await guarded(1)
        return clock() - began
    began = clock()
    for _ in range(count):
        guarded(1)
    return clock() - began


async def throughput(node: Node, key: str, tasks: int, seconds: float) -> float:
    """Calls per second of tasks that call as fast as they can."""
    guarded = node.kept[key]
    began = time.perf_counter()
    end, done = began + seconds, 0

    async def run() -> None:
        nonlocal done
        while time.perf_counter() < end:
            for _ in range(10):
                await guarded(1)
            done += 10

    async def run_slow() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await guarded(1)
            done += 1

    each = run if key.startswith("Holdfast") else run_slow
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(each())
    return done / (time.perf_counter() - began)


async def probe(node: Node, label: str, name: str) -> None:
    """Be the probe of a circuit that may be probed, until the stage sets "enough"."""
    library, enough = node.libraries[label], node.event("enough")

    async def hold(value: int) -> int:
        node.tell("probing")
        await enough.wait()
        return value

    guarded = library.guard(name, hold)
    while not enough.is_set():
        try:
            await guarded(1)
            return
        except library.rejections:
            await asyncio.sleep(0.005)


async def until_rejected(node: Node, label: str, name: str, settle: float = 0.0) -> None:
    """Call a circuit until this process rejects by itself, and has done so for ``settle`` seconds."""
    library = node.libraries[label]
    guarded, last = library.guard(name, work_async), time.monotonic() + 8.0
    since = None
    while (now := time.monotonic()) < last:
        try:
            await guarded(1)
            since = None
        except library.rejections:
            since = now if since is None else since
            if now - since >= settle:
                return
        await asyncio.sleep(0.01)
    raise AssertionError("calls were let through")


async def make_circuits(node: Node, label: str, many: int) -> float:
    """Make circuits and call each once; returns how many threads and tasks that has started."""
    before = threading.active_count() + len(asyncio.all_tasks())
    library = node.libraries[label]
    kept = node.kept["circuits"] = [library.guard(f"tenant-{number}", work_async) for number in range(many)]
    for each in kept:
        await each(1)
    after = threading.active_count() + len(asyncio.all_tasks())
    # The store's own thread was started with the library, before the count.
    return after - before + sum(each.name.startswith("holdfast") for each in threading.enumerate())


async def circuit_bytes(node: Node, label: str, many: int) -> float:
    """Bytes that a circuit holds."""
    library = node.libraries[label]
    round_number = node.kept["round"] = node.kept.get("round", 0) + 1
    for number in range(10):
        await library.use(f"first-{round_number}-{number}", work_async)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [await library.use(f"tenant-{round_number}-{number}", work_async) for number in range(many)]
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / len(kept)


# -- commands --------------------------------------------------------------------------------------


def _commands(label: str, count: int) -> Experiment:
    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], QUIET)
        node.call(guard, label, label, "healthy", work_async)
        return single(lambda: stage.commands(lambda: node.call(make_calls, label, count))[0] / count)

    return Experiment(label, lambda: on_stage(Stage(), prepare))


def _rejected(label: str, count: int) -> Experiment:
    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], QUIET)
        node.call(guard, label, label, "open", work_async)
        node.call(open_circuit, label, "open")
        node.call(until_rejected, label, "open")
        return single(
            lambda: stage.commands(lambda: node.call(make_rejected_calls, label, label, count))[0] / count
        )

    return Experiment(label, lambda: on_stage(Stage(), prepare))


for _label in (Holdfast.label, *PEERS):
    _many = 20_000 if _label == Holdfast.label else 200
    _commands(_label, _many).add(HEALTHY_COMMANDS, _label)
    _rejected(_label, _many).add(REJECTED_COMMANDS, _label)


# -- time ------------------------------------------------------------------------------------------


class _Together:
    """Several subjects in one node, for figures that are compared to a few per cent."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._stage: Stage | None = None
        self._nodes: dict[bool, Any] = {}

    def subject(self, label: str, *, window: bool = False) -> Builder:
        """A builder of a subject."""
        key = f"{label}, window" if window else label

        def build() -> Prepared:
            if self._stage is None:
                self._stage = Stage()
            try:
                if window not in self._nodes:
                    rules = QUIET_WINDOW if window else QUIET
                    (self._nodes[window],) = self._stage.add(
                        1, [Holdfast.label, HoldfastLocal.label, Bare.label], rules
                    )
                node = self._nodes[window]
                if label in PEERS:
                    (node,) = self._stage.add(1, [label], QUIET_WINDOW if window else QUIET)
                with peers_may_fail(label):
                    node.call(guard, label, key, "healthy", self._function)
            except BaseException:
                if not self._nodes:
                    self._close()
                raise
            return Prepared(
                measure=lambda: float(node.call(time_calls, key, max(0.002, settings.seconds))),
                close=self._close,
            )

        return build

    def _close(self) -> None:
        stage, self._stage = self._stage, None
        self._nodes.clear()
        if stage is not None:
            stage.close()


for _case, _function in ((HEALTHY_SYNC, work), (HEALTHY_ASYNC, work_async)):
    _together = _Together(_function)
    _case.add("floor: Holdfast in memory", _together.subject(HoldfastLocal.label), [FLEET], floor=True)
    _case.add("Holdfast", _together.subject(Holdfast.label), [FLEET])
    _case.add(
        "Holdfast, window policy in memory", _together.subject(HoldfastLocal.label, window=True), [FLEET]
    )
    _case.add("Holdfast, window policy", _together.subject(Holdfast.label, window=True), [FLEET])
    _case.add("no breaker", _together.subject(Bare.label), [FLEET])
    for _label in PEERS:
        _case.add(_label, _together.subject(_label), [FLEET])


def _throughput(label: str) -> Experiment:
    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], Rules())
        node.call(guard, label, label, "healthy", give_way)
        seconds = max(0.05, settings.seconds * 20)
        return single(lambda: float(node.call(throughput, label, TASKS, seconds)))

    return Experiment(label, lambda: on_stage(Stage(slow=SLOW), prepare))


_throughput(HoldfastLocal.label).add(THROUGHPUT, "floor: Holdfast in memory", floor=True)
_throughput(Bare.label).add(THROUGHPUT, "no breaker")
for _label in (Holdfast.label, *PEERS):
    _throughput(_label).add(THROUGHPUT, _label)


# -- half-open -------------------------------------------------------------------------------------


def _half_open(label: str, count: int, *, commands: bool) -> Experiment:
    wait = 0.2 if label == Holdfast.label else 2.5  # what a peer decides takes up to a second to be known
    rules = Rules(wait=wait, probes=1, lease=300.0, interval=60.0)

    def prepare(stage: Stage) -> Run:
        prober, rejected = stage.add(2, [label], rules)
        rejected.call(guard, label, label, "probed", work_async)
        prober.call(open_circuit, label, "probed")
        prober.begin(probe, label, "probed")
        assert prober.hear(10.0) == "probing"
        rejected.call(until_rejected, label, "probed", 0.2 if label == Holdfast.label else 2.2)

        def run() -> float:
            calls = amount(count, 200)
            sent, micros = stage.commands(lambda: rejected.call(make_rejected_calls, label, label, calls))
            return sent / calls if commands else float(micros)

        return single(run)

    return Experiment(label, lambda: on_stage(Stage(), prepare))


def _open_in_memory() -> Experiment:
    label = HoldfastLocal.label

    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], Rules())
        node.call(guard, label, label, "open", work_async)
        node.call(open_circuit, label, "open")
        return single(lambda: float(node.call(make_rejected_calls, label, label, amount(20_000, 200))))

    return Experiment(label, lambda: on_stage(Stage(), prepare))


_open_in_memory().add(HALF_OPEN, "floor: open circuit in memory", floor=True)
for _case, _commands_wanted in ((HALF_OPEN, False), (HALF_OPEN_COMMANDS, True)):
    _half_open(Holdfast.label, 20_000, commands=_commands_wanted).add(_case, Holdfast.label)
    _half_open(Interlock.label, 200, commands=_commands_wanted).add(_case, Interlock.label)


# -- idle ------------------------------------------------------------------------------------------


def _idle(label: str, rounds: int | None) -> Experiment:
    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], Rules())
        node.call(make_circuits, label, amount(1_000, 20))
        seconds = amount(4.0 if label == Holdfast.label else 2.0, 0.5)
        return single(lambda: stage.commands(lambda: time.sleep(seconds))[0] / seconds)

    return Experiment(label, lambda: on_stage(Stage(), prepare), rounds)


def _idle_threads(label: str) -> Experiment:
    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], Rules())
        return single(lambda: float(node.call(make_circuits, label, amount(1_000, 20))))

    return Experiment(label, lambda: on_stage(Stage(), prepare))


def _memory(label: str, rules: Rules) -> Experiment:
    def prepare(stage: Stage) -> Run:
        (node,) = stage.add(1, [label], rules)
        return single(lambda: float(node.call(circuit_bytes, label, amount(1_000, 50))))

    return Experiment(label, lambda: on_stage(Stage(), prepare))


for _label in (Holdfast.label, *PEERS):
    _idle(_label, None if _label == Holdfast.label else 1).add(IDLE, _label)
    _idle_threads(_label).add(IDLE_THREADS, _label)
    _memory(_label, QUIET).add(MEMORY, _label)
_memory(Holdfast.label, QUIET_WINDOW).add(MEMORY, "Holdfast, window policy")
_memory(HoldfastLocal.label, QUIET).add(MEMORY, "Holdfast, in memory")
_memory(HoldfastLocal.label, QUIET_WINDOW).add(MEMORY, "Holdfast, window policy, in memory")
