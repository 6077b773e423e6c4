"""However often something is said: each outcome counts once (F3), in any order.

An account is kept beside the coordinator, by a few lines that know nothing of how it works. A million
operations: ``FLEET_OPERATIONS=1000000 pytest tests/fleet/coordination/test_exactly_once.py``.
"""

from __future__ import annotations

import os
import random
from itertools import takewhile
from typing import Any

from cqrs.circuit_breaker.fleet.coordinator import Coordinator

from .servers import START_US, Message
from .steps import STALE_US, S, report, row_of, rules

OPERATIONS = int(os.environ.get("FLEET_OPERATIONS", "40000"))
RULES = rules(row=12, fr=0.5, min=10_000, need=40, conc=8, lease_us=5 * S, half_us=3600 * S, max_us=10 * S)


class Fleet:
    """Nodes that say everything several times and in any order, within the time in which they may."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.store = Coordinator()
        self.now = START_US
        self.seen: list[Any] = ["", 0]
        self.batches = dict.fromkeys("abcd", 0)
        self.sent: list[tuple[int, str, Message]] = []
        self.permits: list[str] = []
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """Begin an account: nothing has been counted."""
        self.accepted: dict[str, int] = {}
        self.row: list[str] = []
        self.counted: dict[str, str] = {}

    def exchange(self, node: str, op: Message) -> Message:
        common = {"id": "c", "name": "c", "seen": self.seen, "rnd": 0.5, "rules": 0}
        request = {
            "node": node,
            "inc": f"i{self.number}",
            "beat": 0,
            "stale_us": STALE_US,
            "seen": ["", 0],
            "rules": [RULES],
            "ops": [{**common, **op}],
        }
        result: Message = self.store.exchange(request, self.now)["results"][0]
        self.store.published.clear()
        return result

    def say(self, node: str, op: Message) -> None:
        """Say something, new or not, and keep the account."""
        existed = "c" in self.store.reports
        result = self.exchange(node, op)
        view = result["view"]
        if op["op"] == "report" and result["taken"]:
            self.account_batch(existed, node, op, view)
        elif op["op"] == "settle" and result["applied"]:
            assert op["permit"] not in self.counted, "counted twice"
            self.counted[op["permit"]] = op["verdict"]
        epoch = [view["inc"], view["ep"]]
        if epoch != self.seen:
            self.seen = epoch
            self.begin()
        if view["st"] == "half_open":
            verdicts = list(self.counted.values())
            assert view["ok"] == verdicts.count("success")
            assert view["bad"] == verdicts.count("failure")
            assert view["lives"] <= RULES["conc"]
            assert view["ok"] + view["bad"] + view["lives"] <= RULES["need"]

    def account_batch(self, existed: bool, node: str, op: Message, view: Message) -> None:
        if not existed:
            self.accepted.clear()
            self.row.clear()
        longest = 0
        if op["n"] > self.accepted.get(node, 0):
            self.accepted[node] = op["n"]
            for outcome in op["outcomes"]:
                self.row.append(outcome)
                longest = max(longest, self.in_a_row())
        assert (view["st"] == "open") is (longest >= RULES["row"])
        if view["st"] == "closed":
            assert view["row"] == self.in_a_row()
            if "c" not in self.store.reports:
                self.accepted.clear()

    def in_a_row(self) -> int:
        return sum(1 for _ in takewhile(lambda outcome: outcome == "F", reversed(self.row)))

    def step(self) -> None:
        chance = self.chance
        self.number += 1
        self.now += chance.choice([0, 1000, S // 20])
        node = chance.choice("abcd")
        state = self.store.circuits["c"].st if "c" in self.store.circuits else "closed"
        recent = [each for each in self.sent[-30:] if self.now - each[0] < RULES["report_us"]]
        if recent and chance.random() < 0.4:
            _, node, op = chance.choice(recent)  # again, late, or out of order
        elif state == "closed":
            self.batches[node] += 1
            outcomes = "".join(chance.choices("SF", [1, 4], k=chance.randint(1, 5)))
            figures = report(20, 1, batch=(self.batches[node], outcomes))
            op = {**figures, "outcomes": outcomes}
            assert row_of(outcomes).items() <= op.items()
        elif state == "open":
            self.now += 10 * S
            op = {"op": "acquire", "permit": f"p{self.number}"}
        else:
            op = self.probe()
        if op["op"] != "acquire":  # a repeated one would be another probe
            self.sent.append((self.now, node, op))
            del self.sent[:-30]
        self.say(node, op)
        if op["op"] == "acquire":
            self.permits = [*self.permits[-20:], op["permit"]]

    def probe(self) -> Message:
        chance = self.chance
        if not self.permits or chance.random() < 0.4:
            return {"op": "acquire", "permit": f"p{self.number}"}
        permit = chance.choice(self.permits)
        if chance.random() < 0.3:
            return {"op": "renew", "permit": permit}
        verdicts = ["success", "failure", "ignored", "cancelled", "inconclusive"]
        verdict = chance.choices(verdicts, [5, 5, 1, 1, 1])[0]
        return {"op": "settle", "permit": permit, "verdict": verdict, "slow": 0, "trip": 0, "trip_us": -1}


def test_nothing_counts_twice() -> None:
    fleet = Fleet(1)
    for _ in range(OPERATIONS):
        fleet.step()
    transitions = {(entry["from"], entry["to"]) for entry in fleet.store.audit}
    ways = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
    assert transitions == ways, "the account was not kept of everything"
