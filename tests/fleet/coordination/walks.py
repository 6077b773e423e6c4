"""Random stories of a fleet: nodes with different settings, repeated and late requests, clocks that jump."""

from __future__ import annotations

import random
from typing import Any

from .servers import START_US, Message, PythonServer, Server
from .steps import S, report

TICK = 1
FATES = 0.01
NODES = "abcde"


def draw_rules(chance: random.Random, number: int) -> Message:
    """Return any rules that make sense, with shares that no binary fraction hits."""
    need = chance.choice([1, 2, 3, 5, 10])
    base = chance.choice([1, 5, 10]) * S + chance.randrange(3)
    return {
        "cfg": f'settings {number}: "ä/€"',
        "min": chance.choice([1, 2, 4, 7, 20]),
        "fr": chance.choice([0.1, 0.3, 1 / 3, 0.5, 0.7, 1.0]),
        "sr": chance.choice([-1, -1, 0.3, 0.8, 1.0]),
        "row": chance.choice([-1, -1, 1, 2, 5]),
        "crowd": chance.choice([0, 1, 2, 50]),
        "confirm_us": chance.choice([0, S // 10, 2 * S]),
        "quorum": chance.choice([0.0, 0.3, 0.5, 0.5, 0.7, 1.0]),
        "grace_us": chance.choice([0, 2 * S]),
        "report_us": chance.choice([10 * S, 30 * S]),
        "base_us": base,
        "mult": chance.choice([1.0, 1.1, 1.5, 2.0]),
        "max_us": base * chance.choice([1, 2, 7]),
        "jit": chance.choice([0.0, 0.2, 0.7]),
        "need": need,
        "conc": chance.randint(1, need),
        "lease_us": chance.choice([2, 5]) * S,
        "half_us": chance.choice([7, 60]) * S,
        "half_to": chance.choice(["open", "closed"]),
        "ramp_us": chance.choice([-1, 3 * S + 1, 10 * S]),
        "ramp_from": chance.choice([0.1, 1 / 3, 0.5, 1.0]),
    }


class Node:
    """What one process remembers, and what it may say again."""

    def __init__(self) -> None:
        self.shard: list[Any] = ["", 0]
        self.circuits: dict[str, list[Any]] = {}
        self.batches = 0
        self.said: list[Message] = []
        self.granted: list[Message] = []  # what was asked for, and allowed


class Walk:
    """A store, some nodes, and somebody who decides at random what happens next.

    Args:
        number: determines everything.
        rollbacks: whether the store may lose writes; then epochs that nobody repeats may be given again.
    """

    def __init__(self, server: Server, number: int, *, rollbacks: bool) -> None:
        self.server = server
        self.chance = random.Random(number)
        self.now = START_US
        self.nodes = {name: Node() for name in NODES[: self.chance.randint(1, len(NODES))]}
        self.ids = ["x", "y", "*"][: self.chance.randint(1, 3)]
        self.rules = [draw_rules(self.chance, each) for each in range(self.chance.choice([1, 1, 2, 3]))]
        self.rollbacks = rollbacks
        self.habit = self.chance.choice([0.1, 0.5, 0.9])  # share of what goes wrong
        self.due: list[int] = []
        self.dumped: Any = None
        self.permits = 0
        self.log: list[Message] = []
        self.epochs: dict[tuple[str, str], int] = {}
        self.applied: set[str] = set()

    # ------------------------------------------------------------------ steps

    def take(self) -> Message:
        """Make one exchange at some time; return the reply."""
        self._let_time_pass()
        self._let_fate_strike()
        chance, name = self.chance, self.chance.choice(list(self.nodes))
        node = self.nodes[name]
        request: Message = {
            "node": name,
            "inc": f"i{len(self.log)}",
            "beat": int(chance.random() < 0.5),
            "stale_us": chance.choice([3 * S, 3 * S, 60 * S]),
            "seen": list(node.shard),
            "full": int(chance.random() < 0.05),
            "bye": int(chance.random() < 0.03),
            "audit": chance.choice([0] * 9 + [3]),
            "rules": chance.sample(self.rules, len(self.rules)),
            "ops": [],
        }
        for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
            request["ops"].append(self._operation(node, len(self.rules)))
        self.log.append(
            {"at": self.now - START_US, **request, "rules": [each["cfg"] for each in request["rules"]]}
        )
        reply = self.server.exchange(request, self.now)
        self._learn(node, request, reply)
        return reply

    def _let_time_pass(self) -> None:
        chance = self.chance
        kind = chance.random()
        if kind < 0.3 and self.due:
            self.now = max(self.now, chance.choice(self.due) + chance.choice([-TICK, 0, 0, TICK]))
            self.due = [moment for moment in self.due if moment > self.now][-20:]
        elif kind < 0.7:
            self.now += chance.choice([0, 0, TICK, 1000, S // 3, S])
        elif kind < 0.72:
            self.now += chance.choice([5 * S, 60 * S, 3600 * S])
        elif kind < 0.74:
            self.now -= chance.choice([TICK, S, S + 1, 20 * S, 3600 * S])

    def _let_fate_strike(self) -> None:
        kind = self.chance.random()
        if kind < FATES * 0.3:
            self.log.append({"fate": "flush"})
            self.server.flush()
            self.applied.clear()
        elif self.rollbacks and kind < FATES:
            self.log.append({"fate": "dump"})
            self.dumped = self.server.dump()
        elif self.rollbacks and kind < 2 * FATES and self.dumped is not None:
            self.log.append({"fate": "rollback"})
            self.server.load(self.dumped)
            self.applied.clear()

    def _operation(self, node: Node, rules: int) -> Message:
        chance = self.chance
        if node.said and chance.random() < 0.2 * self.habit:
            return dict(chance.choice(node.said[-8:]))  # once more, as it was: a repetition, perhaps late
        id_ = chance.choice(self.ids)
        seen = list(node.circuits.get(id_, ["", 0]))
        if chance.random() < 0.05 * self.habit:
            seen = chance.choice([["", 0], ["other", seen[1]], [seen[0], max(0, seen[1] - 1)]])
        kinds = [self._report, self._acquire, self._settle, self._renew, self._order]
        op = chance.choices(kinds, [8, 5, 6, 1, 0.6])[0](node)
        common: Message = {"id": id_, "name": f"{id_} für alle", "seen": seen, "rnd": chance.random()}
        if op["op"] != "renew":
            common["rules"] = chance.randrange(rules)
        if "id" not in op:
            op = {**common, **op}
        node.said.append(op)
        return op

    def _report(self, node: Node) -> Message:
        chance = self.chance
        if chance.random() < 0.15:
            return report()
        bad = chance.choice([0.0, 0.05, 0.5, 1.0])
        t = chance.choice([0, 1, 2, 5, 30])
        d = chance.choice([0, 0, 0, 1, 3])
        f = sum(chance.random() < bad for _ in range(t))
        s = d + sum(chance.random() < bad for _ in range(t))
        batch: tuple[int, str] = (0, "")
        if chance.random() < 0.5:
            node.batches += 1
            outcomes = "".join(chance.choice("SF") for _ in range(chance.randint(1, 4)))
            batch = (node.batches, outcomes)
        trip = int(chance.random() < 0.1)
        trip_us = chance.choice([-1, 0, 7 * S])
        o = int(chance.random() < 0.1)
        return report(t, f, s, d, o=o, trip=trip, trip_us=trip_us, batch=batch)

    def _acquire(self, node: Node) -> Message:
        self.permits += 1
        return {"op": "acquire", "permit": f"p{self.permits}"}

    def _granted(self, node: Node) -> Message:
        """Return what to say about a permit, more often one that was granted than not."""
        acquired = [op for op in node.said if op["op"] == "acquire"][-4:]
        if node.granted and self.chance.random() < 0.9:
            acquired = node.granted[-2:]
        if not acquired:
            return {"permit": "none"}
        op = self.chance.choice(acquired)
        return {
            "id": op["id"],
            "name": op["name"],
            "permit": op["permit"],
            "rnd": self.chance.random(),
            "seen": list(node.circuits.get(op["id"], ["", 0])),
        }

    def _settle(self, node: Node) -> Message:
        verdicts = [
            "success",
            "success",
            "success",
            "failure",
            "failure",
            "ignored",
            "inconclusive",
            "cancelled",
        ]
        verdict = self.chance.choice(verdicts)
        counts = verdict in ("success", "failure")
        trip = int(verdict == "failure" and self.chance.random() < 0.1)
        op = self._granted(node) | {"op": "settle", "verdict": verdict}
        op |= {"slow": int(counts and self.chance.random() < 0.3), "trip": trip}
        op["trip_us"] = self.chance.choice([-1, 9 * S])
        if "id" in op:
            op["rules"] = self.chance.randrange(len(self.rules))
        return op

    def _renew(self, node: Node) -> Message:
        return self._granted(node) | {"op": "renew"}

    def _order(self, _: Node) -> Message:
        chance = self.chance
        if chance.random() < 0.3:
            return chance.choice([{"op": "reset"}, {"op": "view"}, {"op": "dance"}])
        mode = chance.choice(["", "forced_open", "disabled", "metrics_only", "enabled"])
        ttl = chance.choice([-1, 0, 5 * S, 20 * S])
        return {"op": "override", "mode": mode, "ttl_us": ttl, "by": "ann", "why": chance.choice(["", "a/b"])}

    # ------------------------------------------------------------------ what must hold

    def _learn(self, node: Node, request: Message, reply: Message) -> None:
        if request["beat"]:
            node.shard = [reply["inc"], reply["seq"]]
        for view in reply.get("changed", []):
            self._see(node, view)
        for op, result in zip(request["ops"], reply.get("results", []), strict=True):
            if "err" in result:
                continue
            view = result["view"]
            self._see(node, view)
            if result.get("granted") == 1:
                rules = request["rules"][op["rules"]]
                assert 1 <= view["lives"] <= rules["conc"], "F2"
                node.granted.append(op)
                self.applied.discard(op["permit"])  # a request to acquire may be repeated, too
            if view["st"] == "half_open":
                need = max(rules["need"] for rules in self.rules)
                assert view["lives"] <= max(rules["conc"] for rules in self.rules), "F2"
                assert view["ok"] + view["bad"] + view["lives"] <= need, "F2"
            if op["op"] == "settle" and result["applied"]:
                assert op["permit"] not in self.applied, "F3: a probe was counted twice"
                self.applied.add(op["permit"])
                node.granted = [each for each in node.granted if each["permit"] != op["permit"]]
            if view["inc"] and view["inc"] == op["seen"][0]:
                assert view["ep"] >= op["seen"][1], "F10: who has seen an epoch is told an earlier one"

    def _see(self, node: Node, view: Message) -> None:
        inc, ep = node.circuits.get(view["id"], ["", 0])
        node.circuits[view["id"]] = [view["inc"], max(ep, view["ep"]) if inc == view["inc"] else view["ep"]]
        durations = [view["left_us"], view["ov_left_us"], view["ramp_for_us"] - view["ramp_us"], 2 * S, 5 * S]
        self.due += [self.now + each for each in durations if each > 0]

    def compare(self) -> None:
        """Look at what was published and audited: each transition begins an epoch of its own."""
        self.server.audited()
        for message in self.server.published():
            view = message["view"]
            key = view["id"], view["inc"]
            if not self.rollbacks:
                assert view["ep"] >= self.epochs.get(key, 0), "F10: an epoch was given twice"
            self.epochs[key] = view["ep"]

    def check(self, server: PythonServer) -> None:
        """Look into the coordinator itself."""
        coordinator = server.coordinator
        for reports in coordinator.reports.values():
            members = list(reports.nodes.values())
            assert list(reports.sums) == [sum(each) for each in zip(*members, strict=True)] or not members
            assert members or not any(reports.sums)
            assert reports.nodes.keys() == reports.seen.scores.keys()
        for scores in [coordinator.nodes, coordinator.log, *coordinator.permits.values()]:
            assert scores.order == sorted((score, member) for member, score in scores.scores.items())
