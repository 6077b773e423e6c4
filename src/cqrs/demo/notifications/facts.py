"""Everything that is measured while the services run, as it happens; nothing is judged here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
WORDS = ("closed", "half-open", "open")


@dataclass(frozen=True)
class Asked:
    """A notification that was posted; times in seconds since the start.

    Attributes:
        identity: what ``notif`` calls it; empty unless it was taken.
        status: of the answer, 0 without one.
        reason: why the answer is degraded; empty when it is not.
        error: what came instead of an answer.
    """

    sent: float
    seconds: float
    status: int
    identity: str = ""
    reason: str = ""
    retry_after: bool = False
    error: str = ""


@dataclass(frozen=True)
class Reading:
    """What ``/metrics`` of a process said about its client."""

    at: float
    state: int
    rejections: int
    errors: int
    probings: int
    waiting: int


@dataclass(eq=False)
class Process:
    """A process of ``notif``.

    Attributes:
        slot: its place, from 1.
        readings: of its ``/metrics``, in order.
    """

    slot: int
    port: int
    pid: int
    readings: list[Reading] = field(default_factory=list[Reading])

    @property
    def name(self) -> str:
        """What people call it."""
        return f"notif {self.slot}"

    @property
    def state(self) -> int | None:
        """The circuit's state when it was last read."""
        return self.readings[-1].state if self.readings else None

    @property
    def rejections(self) -> int:
        """How many calls the circuit has rejected."""
        return self.readings[-1].rejections if self.readings else 0

    def was(self, state: int) -> bool:
        """Tell whether the circuit was ever read in this state."""
        return any(reading.state == state for reading in self.readings)


@dataclass(frozen=True)
class Told:
    """A line of the story; ``kind`` is ``"act"``, ``"good"``, ``"bad"`` or ``""``."""

    at: float
    text: str
    kind: str


class Facts:
    """Collects the facts of a run.

    Args:
        clock: seconds, monotonic.

    Attributes:
        shared: whether the processes share their circuit.
        mails: how often the mail server got each notification, by identity.
        marks: when something happened that a guarantee is about, by name.
        lookups: calls that ``user`` had got, at each mark.
        logs: what the processes wrote, by name.
        lag: the longest that the event loop was late.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._origin = clock()
        self.shared = False
        self.processes: list[Process] = []
        self.sent = 0
        self.asked: list[Asked] = []
        self.mails: Counter[str] = Counter()
        self.story: list[Told] = []
        self.marks: dict[str, float] = {}
        self.lookups: dict[str, int] = {}
        self.logs: dict[str, str] = {}
        self.lag = 0.0
        self.ended: float | None = None

    def now(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._origin

    def begin(self) -> None:
        """Let the time count from here; until now only processes were started."""
        self._origin = self._clock()

    def tell(self, text: str, kind: str = "") -> None:
        """Add a line to the story."""
        self.story.append(Told(self.now(), text, kind))

    def mark(self, name: str, lookups: int) -> None:
        """Note that something happens now, and how many calls ``user`` has got until now."""
        self.marks[name] = self.now()
        self.lookups[name] = lookups

    def delivered(self, identity: str, recipient: str) -> None:
        """Note that the mail server got a mail."""
        self.mails[identity] += 1

    def note_lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self.lag = max(self.lag, seconds)

    def taken(self) -> list[Asked]:
        """The notifications that were taken: they must be delivered."""
        return [asked for asked in self.asked if asked.status == 202]
