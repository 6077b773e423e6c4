"""What is durable about one saga and what it has done to the world; and what must be true of it."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any, Self

from tests.crash.effects import Effect, count

Line = tuple[int, str, str, str]  # position, action, status, step


@dataclasses.dataclass(frozen=True)
class Facts:
    """One moment: between a crash and the recovery, or at the end.

    Attributes:
        status: the status of the saga; ``None`` when there is no such saga.
        context: its stored context.
        log: its log, oldest line first.
        effects: what its steps did, oldest first.
        recoverable: whether the storage offers the saga for recovery.
    """

    status: str | None
    context: dict[str, Any]
    log: tuple[Line, ...]
    effects: tuple[Effect, ...]
    recoverable: bool = False

    def positions(self, action: str, status: str) -> list[int]:
        return [line[0] for line in self.log if line[1:3] == (action, status)]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        effects = tuple(Effect(*effect) for effect in values["effects"])
        log = tuple((line[0], line[1], line[2], line[3]) for line in values["log"])
        return cls(values["status"], values["context"], log, effects, values["recoverable"])

    def __str__(self) -> str:
        lines = [f"{self.status} {self.context}", *(f"  log {line}" for line in self.log)]
        lines += [f"  did {done.action} {done.position} {done.step} in {done.pid}" for done in self.effects]
        return "\n".join(lines)


def problems_of_moment(facts: Facts) -> list[str]:
    """Return what is wrong at any moment, also in the middle of a saga."""
    done = count(facts.effects)
    if facts.status is None:
        return ["steps acted, yet there is no such saga"] if done else []
    found = []
    started = Counter(line[:2] for line in facts.log if line[2] == "started")
    for place, times in done.items():
        if times > started[place]:
            found.append(f"{place} was done {times} times, the log says started {started[place]} times")
    completed: set[tuple[int, str]] = set()
    for line in facts.log:
        place = line[:2]
        if place in completed and line[2] == "started":
            found.append(f"{line} was logged after its completion")
        if line[2] == "completed":
            completed.add(place)
            if not done[place]:
                found.append(f"{place} is logged as completed and was never done")
        if line[1] == "act" and any(action == "compensate" for _, action in completed):
            found.append(f"{line} was logged after a compensation")
    keys: dict[tuple[int, str], set[str]] = {}
    for effect in facts.effects:
        keys.setdefault((effect.position, effect.action), set()).add(effect.key)
    found += [
        f"{place} was done under several keys: {sorted(all)}" for place, all in keys.items() if len(all) > 1
    ]
    actions = [effect.action for effect in facts.effects]
    if "compensate" in actions and "act" in actions[actions.index("compensate") :]:
        found.append("a step acted after a compensation had begun")
    return found


def problems_of_progress(before: Facts, after: Facts) -> list[str]:
    """Return what is wrong between two moments: nothing that was durable is undone or done again."""
    found = []
    if after.log[: len(before.log)] != before.log:
        found.append("lines of the log have changed")
    was, now = count(before.effects), count(after.effects)
    for action in ("act", "compensate"):
        for position in before.positions(action, "completed"):
            if now[position, action] != was[position, action]:
                found.append(f"{(position, action)} was done again after its completion was durable")
    forward = sum(now[place] - was[place] for place in now if place[1] == "act")
    if before.status in ("compensating", "completed", "failed") and forward:
        found.append(f"a step acted although the saga was {before.status}")
    if before.status in ("completed", "failed") and after.status != before.status:
        found.append(f"a final status has changed from {before.status} to {after.status}")
    if before.status == "compensating" and after.status not in ("compensating", "failed"):
        found.append(f"a compensating saga is {after.status}")
    return found


@dataclasses.dataclass(frozen=True)
class Expected:
    """How a saga must end.

    Attributes:
        status: its status.
        acted: the step that must have acted at each position.
        given_up: positions whose compensation always fails.
        context: what the stored context must say at the end.
    """

    status: str
    acted: tuple[str, ...]
    given_up: tuple[int, ...] = ()
    context: dict[str, Any] = dataclasses.field(default_factory=dict)


def problems_of_end(facts: Facts, expected: Expected) -> list[str]:
    """Return what is wrong when everything should be over."""
    if facts.status is None:
        return []  # died before anything was durable
    found = []
    if facts.recoverable:
        found.append("is offered for recovery although nothing is left to do")
    if facts.status != expected.status:
        return [*found, f"is {facts.status} instead of {expected.status}"]
    for position, step in enumerate(expected.acted):
        steps = {line[3] for line in facts.log if line[:3] == (position, "act", "completed")}
        if steps != {step}:
            found.append(f"position {position} is logged as completed by {sorted(steps)}, not by {step}")
        others = {effect.step for effect in facts.effects if effect.position == position} - {step}
        if others:
            found.append(f"at position {position} {sorted(others)} acted or was compensated, not {step}")
    for name, value in expected.context.items():
        if facts.context.get(name) != value:
            found.append(f"the context says {name}={facts.context.get(name)!r} instead of {value!r}")
    compensated = facts.positions("compensate", "completed")
    if expected.status == "completed":
        return [*found, *(f"{position} was compensated" for position in compensated)]
    wanted = list(reversed(range(len(expected.acted))))
    if compensated != [position for position in wanted if position not in expected.given_up]:
        found.append(f"compensated, in order: {compensated}")
    # More than once, if somebody has tried again to recover the failed saga.
    if set(facts.positions("compensate", "failed")) != set(expected.given_up):
        found.append(f"compensations logged as failed: {facts.positions('compensate', 'failed')}")
    order = [effect.position for effect in facts.effects if effect.action == "compensate"]
    if order != sorted(order, reverse=True):
        found.append(f"compensated in the order {order}")
    return found
