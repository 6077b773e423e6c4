"""Everything that is measured while the fleet runs, as it happens; nothing is judged here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cqrs.demo.recorder import Answer
from cqrs.demo.schedule import Mode


@dataclass(eq=False)
class Call:
    """A call that a process began to make to the upstream; times in seconds since the start.

    Attributes:
        received: when the request that led to it reached the process.
        ended: ``None`` while it runs, and for ever when its process was killed.
        succeeded: whether it ended well.
    """

    process: Process
    received: float
    started: float
    ended: float | None = None
    succeeded: bool = False


@dataclass(frozen=True)
class Switch:
    """A process saw the circuit change: closed, open, probing or ramping (the last two are half-open)."""

    at: float
    to_state: str
    reason: str
    source: str


@dataclass(eq=False)
class Process:
    """One process of the shop; a restarted one has the same slot and is another one.

    Attributes:
        slot: its place in the fleet, from 1.
        switches: what became of the circuit in its eyes; it begins closed.
        degraded: when it said that it had lost the store; likewise ``recovered``.
    """

    slot: int
    pid: int = 0
    ready: float | None = None
    killed: float | None = None
    switches: list[Switch] = field(default_factory=list[Switch])
    calls: list[Call] = field(default_factory=list[Call])
    degraded: list[float] = field(default_factory=list[float])
    recovered: list[float] = field(default_factory=list[float])
    answers: dict[Answer, int] = field(default_factory=lambda: dict.fromkeys(Answer, 0))

    @property
    def name(self) -> str:
        """What people call it."""
        return f"process {self.slot}"

    @property
    def state(self) -> str:
        """The circuit's state in its eyes, in one word."""
        return self.switches[-1].to_state if self.switches else "closed"

    @property
    def alone(self) -> bool:
        """Whether it decides for itself, for want of the store."""
        return len(self.degraded) > len(self.recovered)

    def opened_after(self, moment: float) -> float | None:
        """When it saw the circuit open for the first time after ``moment``."""
        return next((s.at for s in self.switches if s.at >= moment and s.to_state == "open"), None)

    def probes(self) -> list[Call]:
        """The calls that were let through while the circuit was not closed, in its eyes.

        A request that reached the process after the opening was admitted after it; a call that began before
        the closing was admitted before it. The traffic of a ramp does not count: it is let back in.
        """
        found: list[Call] = []
        opened: float | None = None
        for switch in [*self.switches, Switch(float("inf"), "closed", "", "")]:
            if switch.to_state in ("open", "probing"):
                opened = switch.at if opened is None else opened
            elif opened is not None:
                found += [c for c in self.calls if c.received >= opened and c.started < switch.at]
                opened = None
        return found


@dataclass(frozen=True)
class Asked:
    """A request of a caller; times in seconds since the start; ``tries`` is how many processes got it."""

    sent: float
    seconds: float
    answer: Answer
    tries: int
    error: str = ""

    @property
    def at(self) -> float:
        """When it ended."""
        return self.sent + self.seconds


@dataclass(frozen=True)
class Decision:
    """A transition of the fleet, as the server tells it; ``probes`` led to it."""

    at: float
    from_state: str
    to_state: str
    reason: str
    probes: int


@dataclass(frozen=True)
class Told:
    """A line of the story; ``kind`` is ``"act"``, ``"good"``, ``"bad"`` or ``""``."""

    at: float
    text: str
    kind: str


class Facts:
    """Collects the facts of a run.

    Args:
        clock: seconds, monotonic, the same in all processes.

    Attributes:
        processes: in the order of their starts.
        upstream: how the upstream behaved from when on; likewise ``store``: whether the server lived.
        marks: when something happened that a guarantee is about, by name.
        lag: the longest that the event loop was late.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.origin = clock()
        self.processes: list[Process] = []
        self.sent = 0
        self.asked: list[Asked] = []
        self.decisions: list[Decision] = []
        self.upstream: list[tuple[float, Mode]] = []
        self.store: list[tuple[float, bool]] = []
        self.story: list[Told] = []
        self.marks: dict[str, float] = {}
        self.lag = 0.0
        self.ended: float | None = None

    def now(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.origin

    def begin(self) -> None:
        """Let the time count from here; until now only processes were started."""
        earlier = self.now()
        self.origin += earlier
        for process in self.processes:
            process.ready = None if process.ready is None else process.ready - earlier

    def mark(self, name: str) -> float:
        """Note that something happened now."""
        return self.marks.setdefault(name, self.now())

    def tell(self, text: str, kind: str = "") -> None:
        """Add a line to the story."""
        self.story.append(Told(self.now(), text, kind))

    def behaves(self, mode: Mode) -> None:
        """Note how the upstream behaves from now on."""
        self.upstream.append((self.now(), mode))

    def store_is(self, alive: bool) -> None:
        """Note whether the server lives from now on."""
        self.store.append((self.now(), alive))

    def living(self) -> list[Process]:
        """The processes that take requests, in the order of their slots."""
        return sorted((p for p in self.processes if p.ready is not None and p.killed is None), key=_slot)

    def current(self) -> list[Process]:
        """The youngest process of each slot."""
        return sorted({p.slot: p for p in self.processes}.values(), key=_slot)

    def note_lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self.lag = max(self.lag, seconds)


def _slot(process: Process) -> int:
    return process.slot


def all_probes(processes: list[Process]) -> list[Call]:
    """The probes of some processes, in the order of their starts."""
    return sorted((call for p in processes for call in p.probes()), key=lambda call: call.started)
