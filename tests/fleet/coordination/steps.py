"""The words of the transition table: what nodes do at which time, and what they must be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .servers import START_US, Message, Server

S = 1_000_000
"""Microseconds of a second."""

RULES: Message = {
    "cfg": "standard",
    "min": 4,
    "fr": 0.5,
    "sr": -1,
    "row": -1,
    "crowd": 50,
    "confirm_us": S // 10,
    "quorum": 0.5,
    "grace_us": 2 * S,
    "report_us": 30 * S,
    "base_us": 10 * S,
    "mult": 2.0,
    "max_us": 60 * S,
    "jit": 0.0,
    "need": 3,
    "conc": 1,
    "lease_us": 5 * S,
    "half_us": 90 * S,
    "half_to": "open",
    "ramp_us": -1,
    "ramp_from": 0.5,
}

STALE_US = 3 * S


def rules(**changes: Any) -> Message:
    """Return the standard rules with some changed."""
    assert changes.keys() <= RULES.keys(), changes
    return {**RULES, **changes}


# ---------------------------------------------------------------------- operations


def report(
    t: int = 0,
    f: int = 0,
    s: int = 0,
    d: int = 0,
    *,
    o: int = 0,
    trip: int = 0,
    trip_us: int = -1,
    batch: tuple[int, str] = (0, ""),
) -> Message:
    """A report; ``batch`` is the number of a row batch and its outcomes: F failed, S succeeded."""
    number, outcomes = batch
    figures = {"t": t, "f": f, "s": s, "d": d, "o": o, "trip": trip, "trip_us": trip_us, "n": number}
    return {"op": "report", **figures, **row_of(outcomes)}


def row_of(outcomes: str) -> Message:
    """Return the summary of outcomes in order, as a node sends it."""
    before, *rest = outcomes.split("S")
    between = rest[:-1]
    return {
        "h": len(before),
        "k": max(map(len, between), default=0),
        "l": len(rest[-1]) if rest else 0,
        "z": 1 if rest else 0,
    }


def acquire(permit: str) -> Message:
    return {"op": "acquire", "permit": permit}


def settle(permit: str, verdict: str, *, slow: int = 0, trip: int = 0, trip_us: int = -1) -> Message:
    details = {"verdict": verdict, "slow": slow, "trip": trip, "trip_us": trip_us}
    return {"op": "settle", "permit": permit, **details}


def renew(permit: str) -> Message:
    return {"op": "renew", "permit": permit}


def override(mode: str, ttl: float = -1, by: str = "", why: str = "") -> Message:
    return {"op": "override", "mode": mode, "ttl_us": -1 if ttl < 0 else round(ttl * S), "by": by, "why": why}


def reset() -> Message:
    return {"op": "reset"}


VIEW: Message = {"op": "view"}


# ---------------------------------------------------------------------- steps


@dataclass
class Step:
    """One exchange, or one blow of fate, and what must come of it."""

    at: float
    node: str
    op: Message | None
    rules: Message | None = field(default_factory=lambda: RULES)
    id: str = "c"
    rnd: float = 0.0
    seen: tuple[str, int] | None = None
    beat: Message | None = None
    expect: Message = field(default_factory=dict[str, Any])
    told: int | None = None
    audit: list[Message] | None = None
    fate: str = ""


def at(seconds: float, node: str, op: Message, **rest: Any) -> Step:
    """One operation of a node at a time, in seconds; what is no field of ``Step`` is expected of the result.

    ``rules=None``: the operation carries no settings.
    Expectations are fields of the result or of its view. ``told`` is the number of messages published and
    ``audit`` what their entries contain.
    """
    fields = {name: rest.pop(name) for name in list(rest) if name in Step.__dataclass_fields__}
    return Step(seconds, node, op, expect=rest, **fields)


def beat(seconds: float, node: str, **rest: Any) -> Step:
    """A beat of a node; ``full=1``, ``bye=1``, ``stale_us`` or ``audit`` change it.

    Expected may be live, told_all, more, changed: the ids listed, shown: some fields of their views, one text
    each, and audited: the epochs of entries.
    """
    changes = {name: rest.pop(name) for name in list(rest) if name in ("full", "bye", "stale_us", "audit")}
    fields = {name: rest.pop(name) for name in list(rest) if name in ("seen", "told")}
    return Step(seconds, node, None, beat=changes, expect=rest, **fields)


def flush() -> Step:
    """The store loses everything."""
    return Step(0, "", None, fate="flush")


def dump() -> Step:
    """Remember what the store holds."""
    return Step(0, "", None, fate="dump")


def rollback() -> Step:
    """The store returns to what was remembered."""
    return Step(0, "", None, fate="rollback")


def opened(by: Message = RULES, node: str = "a", seconds: float = 0.0) -> Step:
    """Trip the circuit at once, whatever the quorum is, and with the usual wait."""
    return at(seconds, node, report(1, 1, trip=1), rules={**by, "quorum": 0}, st="open")


# ---------------------------------------------------------------------- runner


class Run:
    """The nodes of one story; each remembers what it has seen, as a real one does."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.incarnations = 0
        self.circuits: dict[tuple[str, str], list[Any]] = {}
        self.shards: dict[str, list[Any]] = {}
        self.dumped: Any = None

    def take(self, steps: Iterable[Step]) -> None:
        for number, step in enumerate(steps, 1):
            try:
                self._take(step)
            except AssertionError as error:
                error.add_note(f"step {number}: {step}")
                raise

    def _take(self, step: Step) -> None:
        if step.fate == "flush":
            self.server.flush()
        elif step.fate == "dump":
            self.dumped = self.server.dump()
        elif step.fate == "rollback":
            self.server.load(self.dumped)
        else:
            self._exchange(step)

    def _exchange(self, step: Step) -> None:
        self.incarnations += 1
        request: Message = {
            "node": step.node,
            "inc": f"i{self.incarnations}",
            "beat": 0,
            "stale_us": STALE_US,
            "seen": self.shards.get(step.node, ["", 0]),
            "full": 0,
            "bye": 0,
            "rules": [] if step.rules is None else [step.rules],
            "ops": [],
        }
        if step.beat is not None:
            request |= {"beat": 1, **step.beat}
            if step.seen is not None:
                request["seen"] = list(step.seen)
        if step.op is not None:
            request["ops"] = [self._operation(step, step.op)]
        reply = self.server.exchange(request, START_US + round(step.at * S))
        messages, entries = self.server.published(), self.server.audited()
        found = self._learn(step, reply)
        assert {name: found.get(name) for name in step.expect} == step.expect, found
        if step.told is not None:
            assert len(messages) == step.told, messages
        if step.audit is not None:
            wanted = [{key: str(value) for key, value in entry.items()} for entry in step.audit]
            assert len(entries) == len(wanted), entries
            for entry, expected in zip(entries, wanted, strict=True):
                assert expected.items() <= entry.items(), entry

    def _operation(self, step: Step, op: Message) -> Message:
        seen = list(step.seen) if step.seen is not None else self.circuits.get((step.node, step.id), ["", 0])
        common = {"id": step.id, "name": f"the {step.id}", "seen": seen, "rnd": step.rnd}
        carried = {} if step.rules is None or op["op"] == "renew" else {"rules": 0}
        return {**common, **carried, **op}

    def _learn(self, step: Step, reply: Message) -> Message:
        """Remember what a node is told, and return it in one piece."""
        if step.beat is not None:
            self.shards[step.node] = [reply["inc"], reply["seq"]]
        for view in reply.get("changed", []):
            self._remember(step.node, view)
        if step.op is None:
            listed = [view["id"] for view in reply.get("changed", [])]
            keys = ("streak", "ramp_us", "ramp_for_us", "left_us", "age_us", "ov_left_us")
            shown = [" ".join(str(view[key]) for key in keys) for view in reply.get("changed", [])]
            audited = [entry["ep"] for entry in reply.get("audit", [])]
            return {
                **reply,
                "changed": listed,
                "shown": shown,
                "told_all": reply.get("full"),
                "audited": audited,
            }
        (result,) = reply["results"]
        if "err" in result:
            return dict(result)
        view = result["view"]
        assert view["id"] == result["id"] == step.id
        self._remember(step.node, view)
        return {**view, **result}

    def _remember(self, node: str, view: Message) -> None:
        """Keep the highest epoch of an incarnation: a store that was rolled back must not give it again."""
        inc, ep = self.circuits.get((node, view["id"]), ["", 0])
        if view["inc"] == inc:
            ep = max(ep, view["ep"])
        else:
            inc, ep = view["inc"], view["ep"]
        self.circuits[node, view["id"]] = [inc, ep]
