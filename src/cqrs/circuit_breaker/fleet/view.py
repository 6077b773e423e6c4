"""What a process knows of a shared circuit: the store's answer, its durations turned into deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cqrs.circuit_breaker.errors import CircuitOpenError, quick_rejection
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.circuit_breaker.states import Mode, State
from cqrs.circuit_breaker.timing import Ramp


class Pool(NamedTuple):
    """The windows of all processes that report, added up.

    ``slow`` includes ``overdue``, the running calls past the slow threshold; ``unhealthy`` counts the
    ``reporters`` that would open by their own figures.
    """

    calls: int
    failures: int
    slow: int
    overdue: int
    reporters: int
    unhealthy: int

    def __str__(self) -> str:
        rate = f", {self.failures / self.calls:.1%}" if self.calls else ""
        slow = f", {self.slow} slow" if self.slow else ""
        return (
            f"{self.failures} of {self.calls} calls failed{rate}{slow};"
            f" {self.unhealthy} of {self.reporters} reporting processes are unhealthy"
        )


@dataclass(frozen=True, slots=True)
class FleetView:
    """The fleet's side of a circuit as last heard of.

    Attributes:
        state: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``.
        epoch: number of transitions of this incarnation; with ``incarnation`` it names one stay in a state.
        incarnation: random; another one after the store has lost the circuit. ``""``: the store has no state.
        shard: incarnation of the shard that said it.
        sequence: of that shard, when this was said: a larger one is newer.
        until: local monotonic deadline of the open state.
        wait: seconds of the present or last opening.
        streak: openings in a row.
        ramp_from: local monotonic start of the ramp, ``None`` when there is none.
        ramp_for: seconds of that ramp.
        row: failures in a row, from whichever process.
        watched: whether some process reports trouble, so that all report.
        mode: override in force for the fleet, ``None`` for none.
        mode_left: seconds until it ends, ``None``: never.
        actor, reason: who set it and why; without an override ``reason`` is that of the last transition.
        settings: the settings that the store goes by, in words.
        pool: what all processes together report, while the circuit is watched.
        heard: local monotonic moment of hearing this.
    """

    state: State = State.CLOSED
    epoch: int = 0
    incarnation: str = ""
    shard: str = ""
    sequence: int = 0
    until: float = 0.0
    wait: float = 0.0
    streak: int = 0
    ramp_from: float | None = None
    ramp_for: float = 0.0
    row: int = 0
    watched: bool = False
    mode: Mode | None = None
    mode_left: float | None = None
    actor: str = ""
    reason: str = ""
    settings: str = ""
    pool: Pool | None = None
    heard: float = 0.0

    @property
    def seen(self) -> tuple[str, int]:
        """Incarnation and epoch."""
        return self.incarnation, self.epoch

    @property
    def plain(self) -> bool:
        """Whether there is nothing to know: as good as no state at all."""
        quiet = self.state is State.CLOSED and self.ramp_from is None and not self.watched
        return quiet and self.mode is None and self.row == 0

    def __str__(self) -> str:
        if self.mode is not None:
            said = f"{self.mode.value.replace('_', ' ')}, by {self.actor or 'nobody named'}"
        elif self.ramp_from is not None:
            said = "half open, ramping"
        else:
            said = self.state.value.replace("_", " ")
        said += f" ({self.reason})" if self.reason else ""
        return said if self.pool is None else f"{said}; {self.pool}"

    def older_than(self, other: FleetView) -> bool:
        """Whether this was said before ``other``, and arrived late."""
        return self.shard == other.shard and self.sequence < other.sequence

    @classmethod
    def of(cls, said: Message, shard: str, now: float) -> FleetView:
        """Return the view that the store described at ``now``."""
        mode, left = said["ov"], said["ov_left_us"]
        ramp = said["ramp_us"]
        return cls(
            state=State(said["st"]),
            epoch=said["ep"],
            incarnation=said["inc"],
            shard=shard,
            sequence=said["seq"],
            until=now + said["left_us"] / 1e6,
            wait=said["wait_us"] / 1e6,
            streak=said["streak"],
            ramp_from=None if ramp < 0 else now - ramp / 1e6,
            ramp_for=max(0.0, said["ramp_for_us"] / 1e6),
            row=said["row"],
            watched=bool(said["watched"]),
            mode=Mode(mode) if mode else None,
            mode_left=None if left < 0 else left / 1e6,
            actor=said["ov_by"],
            reason=(said["ov_why"] if mode else said["why"]),
            settings=said["cfg"],
            pool=Pool(*said["pool"]) if "pool" in said else None,
            heard=now,
        )


NOTHING_KNOWN = FleetView()

OPEN, PROBING, RAMPING = "open", "probing", "ramping"


class Barrier:
    """Stands before a circuit that the fleet has not closed; calls pass only as it says.

    ``until`` is the moment before which no call of this process needs to ask: the deadline of the open state,
    or the time at which another probe may be asked for. Changed under the circuit's lock.
    """

    bars = True

    __slots__ = (
        "asking",
        "credit",
        "epoch",
        "kind",
        "name",
        "opens",
        "ramp",
        "reason",
        "started",
        "state",
        "until",
        "wait",
    )

    def __init__(self, name: str, view: FleetView, kind: str, until: float) -> None:
        self.name = name
        self.kind = kind
        self.state = State.OPEN if kind is OPEN else State.HALF_OPEN
        self.until = until
        self.opens = view.until  # when probing begins, or began
        self.wait = view.wait
        self.epoch = view.epoch
        self.reason = view.reason
        self.asking = False
        self.ramp: Ramp | None = None
        self.started = 0.0
        self.credit = 0.0  # of the ramp's error diffusion (L10)

    @classmethod
    def ramping(cls, name: str, view: FleetView, initial: float) -> Barrier:
        """Return the barrier of a circuit whose traffic returns step by step (F14)."""
        assert view.ramp_from is not None
        barrier = cls(name, view, RAMPING, view.ramp_from)
        barrier.ramp = Ramp(view.ramp_for, initial)
        barrier.started = view.ramp_from
        return barrier

    def share(self, now: float) -> float:
        """Return the share of the traffic that a ramp admits."""
        return 1.0 if self.ramp is None else self.ramp.share(now - self.started)

    def probe_from(self, until: float) -> None:
        """Let calls ask for a probe from ``until`` on."""
        self.kind, self.state, self.until, self.asking = PROBING, State.HALF_OPEN, until, False

    def explain(self, now: float) -> tuple[str, list[tuple[str, float, float]]]:
        """Return why it stands, and what must be reached for it to go."""
        if self.ramp is not None:
            return "traffic is returning, by decision of the fleet", [("recovery_ramp", self.share(now), 1.0)]
        waited = min(self.wait, max(0.0, self.wait - (self.opens - now)))
        return f"the fleet: {self.reason}", [("wait_duration_in_open", waited, self.wait)]

    def effective(self, now: float) -> tuple[State, str | None]:
        """Return the state and sub-phase that a call at ``now`` would find."""
        if self.kind is OPEN and now < self.until:
            return State.OPEN, None
        if self.kind is RAMPING:
            return (State.CLOSED, None) if self.share(now) >= 1.0 else (State.HALF_OPEN, "ramping")
        return State.HALF_OPEN, "probing"

    def rejection(self, now: float, source: str = "fleet") -> CircuitOpenError:
        """Return a fresh error for one rejected call."""
        if self.kind is OPEN:
            word, reason, wait = "open", self.reason, self.until - now
        elif self.kind is PROBING:
            word, reason, wait = "half_open", "a probe of the fleet is running or due", self.until - now
            wait = wait if wait < 1.0 else 1.0
        else:
            assert self.ramp is not None
            word, reason = "half_open", f"recovering, {self.share(now):.0%} of the calls pass"
            wait = min(1.0, self.started + self.ramp.duration - now)
        left = wait if wait > 0.0 else 0.0
        return quick_rejection(self.name, word, reason, left, None, source, self.epoch)
