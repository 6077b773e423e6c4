"""What a coordinator keeps of each circuit, a record and reports, and by which rules it decides.

All times are integer microseconds. The names of the fields are those of the Redis hashes, so that the two
coordinators can be read side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypedDict

from cqrs.circuit_breaker.fleet.coordinator.scores import Scores
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.timing import Backoff, Ramp

SECOND = 1_000_000
HOUR = 3600 * SECOND


class Rules(TypedDict):
    """What a node decides by, as ``wire.rules_of`` says it; times in microseconds, -1 for none."""

    cfg: str
    min: int
    fr: float
    sr: float
    row: int
    crowd: int
    confirm_us: int
    quorum: float
    grace_us: int
    report_us: int
    base_us: int
    mult: float
    max_us: int
    jit: float
    need: int
    conc: int
    lease_us: int
    half_us: int
    half_to: str
    ramp_us: int
    ramp_from: float


"""The settings that a request carries: a coordinator has none of its own."""


@lru_cache(maxsize=256)
def backoff(base_us: int, mult: float, max_us: int, jit: float) -> Backoff:
    """Return the engine's backoff; it does not mind that its seconds are microseconds here."""
    return Backoff(base_us, mult, max_us, jit)


def policy(rules: Rules, ramp_for_us: int = 0) -> CircuitBreakerPolicy:
    """Return what the engine's conditions need to know, while a ramp of that length lasts (0: no ramp)."""
    return _policy(
        rules["min"],
        rules["fr"],
        rules["sr"],
        rules["row"],
        rules["need"],
        ramp_for_us,
        rules["ramp_from"] if ramp_for_us else 1.0,
    )


@lru_cache(maxsize=256)
def _policy(
    minimum: int, fr: float, sr: float, row: int, need: int, ramp_for_us: int, ramp_from: float
) -> CircuitBreakerPolicy:
    return CircuitBreakerPolicy(
        minimum_number_of_calls=minimum,
        failure_rate_threshold=fr,
        slow_call_duration_threshold=1.0 if sr >= 0 else None,  # which calls are slow, the nodes know
        slow_call_rate_threshold=sr if sr >= 0 else 1.0,
        consecutive_failures=row if row > 0 else None,
        permitted_calls_in_half_open=need,
        recovery_ramp=Ramp(ramp_for_us, ramp_from) if ramp_for_us else None,
    )


@dataclass  # without slots: copied through __dict__, several times faster than field by field
class Record:
    """The state of one circuit: the hash "s:<id>"."""

    st: str = "closed"
    ep: int = 0  # epoch: one more with each transition, override or reset
    inc: str = ""  # incarnation: which life of the key the epochs belong to
    until: int = 0
    since: int = 0
    wait: int = 0
    streak: int = 0
    ok: int = 0
    bad: int = 0
    slow: int = 0
    lost: int = 0  # in a row
    incon: int = 0  # in a row
    ramp: int = 0  # its start, 0: none
    rampd: int = 0
    ov: str = ""
    ov_until: int = 0  # 0: sticky
    ov_ttl: int = 0
    ov_by: str = ""
    ov_why: str = ""
    why: str = ""
    cfg: str = ""
    name: str = ""
    conc: int = 0
    need: int = 0
    base: int = 0
    max: int = 0
    lease: int = 0
    spare: int = 0  # how long the key outlives its waits: known only to operations that carry rules
    expires: int = -1  # when the key does; -1: never

    def copy(self) -> Record:
        """Return a copy: an operation changes nothing until it saves."""
        new = Record.__new__(Record)
        new.__dict__.update(self.__dict__)
        return new

    def begin(self, st: str, now: int) -> None:
        """Begin an epoch with nothing in it."""
        self.st = st
        self.ep += 1
        self.since = now
        self.until = 0
        self.ok = self.bad = self.slow = self.lost = self.incon = 0

    def adopt(self, rules: Rules) -> None:
        """Store the settings of an operation."""
        self.cfg = rules["cfg"]
        self.conc, self.need = rules["conc"], rules["need"]
        self.base, self.max, self.lease = rules["base_us"], rules["max_us"], rules["lease_us"]

    def merge(self, rules: Rules) -> Rules:
        """Return the stricter of the stored settings and those of an operation, and keep them (F13)."""
        self.conc = min(self.conc, rules["conc"])
        self.need = max(self.need, rules["need"])
        self.base = max(self.base, rules["base_us"])
        self.max = max(self.max, rules["max_us"])
        self.lease = max(self.lease, rules["lease_us"])
        return {
            **rules,
            "conc": self.conc,
            "need": self.need,
            "base_us": self.base,
            "max_us": self.max,
            "lease_us": self.lease,
        }


class Figures(NamedTuple):
    """The window of one node: settled calls, failures, slow ones, running overdue ones, unhealthy."""

    t: int
    f: int
    s: int
    d: int
    u: int
    reports: int  # 1: it has traffic, so that its vote counts


NO_FIGURES = Figures(0, 0, 0, 0, 0, 0)


@dataclass(slots=True)
class Reports:
    """What the nodes reported of one circuit: the hash "r:<id>" and the sorted set "z:<id>"."""

    era: tuple[str, int]  # incarnation and epoch that the figures belong to
    nodes: dict[str, Figures] = field(default_factory=dict[str, Figures])
    seen: Scores = field(default_factory=Scores)
    batches: dict[str, int] = field(default_factory=dict[str, int])
    sums: Figures = NO_FIGURES
    row: int = 0
    told: int = -1  # since when everybody is told of the row, -1: not
    watched: int = -1  # since when, -1: not
    expires: int = 0

    def put(self, node: str, figures: Figures, now: int) -> None:
        """Replace the figures of one node: absolute ones, so that a repetition changes nothing."""
        self._count(self.nodes.get(node, NO_FIGURES), figures)
        self.nodes[node] = figures
        self.seen.add(node, now)

    def drop(self, node: str) -> None:
        """Forget the figures of one node."""
        self._count(self.nodes.pop(node, NO_FIGURES), NO_FIGURES)
        self.seen.remove(node)

    def _count(self, old: Figures, new: Figures) -> None:
        self.sums = Figures(*[s + n - o for s, n, o in zip(self.sums, new, old, strict=True)])

    def sweep(self, oldest: int, newest: int, limit: int) -> None:
        """Forget nodes that were silent for too long, or reported in what is now the future (F5)."""
        for node in [*self.seen.below(oldest), *self.seen.above(newest)][:limit]:
            self.drop(node)
            self.batches.pop(node, None)

    def take_batch(self, node: str, number: int, before: int, longest: int, after: int, success: int) -> int:
        """Take a batch of outcomes in order, once; return the longest row of failures there was."""
        if number <= self.batches.get(node, 0):  # repeated, late, or none
            return self.row
        self.batches[node] = number
        peak = self.row + before
        self.row = after if success else peak
        if success:
            self.told = -1  # what follows is another row
        return max(peak, longest, after) if success else peak
