"""The script and the Python coordinator answer and publish the same, whatever is asked in whatever order."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from cqrs.circuit_breaker.fleet.coordinator import Coordinator
from cqrs.circuit_breaker.redis import script
from tests.integration.redis.support import REPORT, RULES, Shard

SECOND = 1_000_000
CIRCUITS = ["pay", "mail", "stock"]
NODES = ["a", "b", "c", "d"]


class Walk:
    """Random nodes that ask random things, with what they have seen."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        pick = self.random.choice
        self.rules = [self._rules(f"v{version}") for version in range(2)]
        self.quick = pick([True, False])
        self.seen: dict[tuple[str, str], list[Any]] = {}
        self.shard_seen: dict[str, list[Any]] = {}
        self.permits: list[tuple[str, str]] = []
        self.count = 0

    def _rules(self, version: str) -> dict[str, Any]:
        pick = self.random.choice
        base = pick([1, 2, 5]) * SECOND
        return RULES | {
            "cfg": version,
            "min": pick([1, 4, 10]),
            "fr": pick([0.3, 0.5, 1.0]),
            "sr": pick([-1, -1, 0.5, 0.8]),
            "row": pick([-1, -1, 1, 3, 5]),
            "quorum": pick([0.0, 0.5, 0.5, 1.0]),
            "grace_us": pick([0, 2 * SECOND]),
            "crowd": pick([0, 2, 50]),
            "confirm_us": pick([0, SECOND]),
            "report_us": pick([3, 30]) * SECOND,
            "base_us": base,
            "mult": pick([1.0, 1.7, 2.0]),
            "max_us": base * pick([1, 3, 10]),
            "jit": pick([0.0, 0.2]),
            "need": pick([1, 2, 3]),
            "conc": pick([1, 2]),
            "lease_us": pick([1, 4]) * SECOND,
            "half_us": pick([3, 20]) * SECOND,
            "half_to": pick(["open", "open", "closed"]),
            "ramp_us": pick([-1, 0, 4 * SECOND]),
            "ramp_from": pick([0.1, 0.5, 1.0]),
        }

    def step(self) -> int:
        """Return how far the clock moves, in microseconds: mostly forward."""
        pick = self.random.choice
        dice = self.random.random()
        if dice < 0.6:
            return self.random.randrange(0, SECOND)
        if dice < 0.93:
            return self.random.randrange(SECOND, 6 * SECOND)
        return pick([-3600, -40, -2, 40, 3600]) * SECOND + pick([0, 1, -1])

    def request(self) -> dict[str, Any]:
        self.count += 1
        pick = self.random.choice
        node = pick(NODES)
        seen = self.shard_seen.get(node, ["", 0])
        if self.random.random() < 0.05:
            seen = [seen[0], max(0, seen[1] + pick([-1, 1, 5]))]
        request: dict[str, Any] = {
            "node": node,
            "inc": f"i{self.count}",
            "beat": pick([0, 1]),
            "stale_us": 3_250_000,
            "seen": seen,
            "full": int(self.random.random() < 0.05),
            "bye": int(self.random.random() < 0.02),
            "rules": self.rules,
        }
        request["ops"] = [self.operation(node) for _ in range(pick([0, 1, 1, 2]))]
        return request

    def operation(self, node: str) -> dict[str, Any]:
        pick = self.random.choice
        circuit = pick(CIRCUITS)
        seen = self.seen.get((node if self.random.random() < 0.7 else pick(NODES), circuit), ["", 0])
        if self.random.random() < 0.02:
            seen = [seen[0], seen[1] + 2]
        op: dict[str, Any] = {"id": circuit, "name": pick(["", circuit.title()]), "seen": seen}
        op |= {"rnd": self.random.random(), "rules": int(self.random.random() < 0.2)}
        kinds = (
            ["report"] * 8 + ["acquire"] * 5 + ["settle"] * 4 + ["renew", "view", "override", "reset", "?"]
        )
        op["op"] = kind = pick(kinds)
        if kind == "report":
            op |= self.figures()
        elif kind == "acquire":
            op["permit"] = f"p{self.count}{circuit}"
            self.permits.append((circuit, op["permit"]))
        elif kind in ("settle", "renew"):
            op["id"], op["permit"] = pick(self.permits[-8:] or [(circuit, "none")])
            op["seen"] = self.seen.get(("last", op["id"]), seen) if self.random.random() < 0.9 else seen
            op |= {"verdict": pick(["success"] * 4 + ["failure", "ignored", "inconclusive", "cancelled"])}
            op |= {"slow": pick([0, 0, 0, 1]), **self.trip()}
            if kind == "renew":
                del op["rules"]
        elif kind == "override":
            mode = pick(["forced_open", "disabled", "metrics_only", "enabled", "", "", "", ""])
            ttl = pick([-1, 0, 2 * SECOND, 30 * SECOND])
            op |= {"mode": mode, "ttl_us": ttl, "by": "ann", "why": pick(["", "INC-42"])}
        return op

    def trip(self) -> dict[str, Any]:
        dice = self.random.random() < 0.1
        return {"trip": int(dice), "trip_us": self.random.choice([-1, 0, 4 * SECOND, 900 * SECOND])}

    def figures(self) -> dict[str, Any]:
        pick = self.random.choice
        figures = REPORT | self.trip()
        if self.random.random() < 0.75:
            total = pick([0, 1, 3, 8, 20])
            figures |= {"t": total, "f": pick([0, 0, 1, total // 2, total]), "d": pick([0, 0, 0, 1, 4])}
            figures["f"] = min(figures["f"], total)
            figures["s"] = figures["d"] + min(total, pick([0, 0, 1, total]))
            figures["o"] = int(self.random.random() < 0.1)
        if self.random.random() < 0.5:
            figures["n"] = max(0, self.count + pick([0, 0, 0, -5, -40]))
            figures["h"] = pick([0, 1, 2])
            if pick([0, 1]):
                figures |= {"z": 1, "k": pick([0, 1, 3]), "l": pick([0, 0, 1])}
        return figures

    def heard(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        node = request["node"]
        self.shard_seen[node] = [reply["inc"], reply["seq"]]
        views = [*reply.get("changed", []), *(r["view"] for r in reply.get("results", []) if "view" in r)]
        for view in views:
            self.seen[(node, view["id"])] = self.seen[("last", view["id"])] = [view["inc"], view["ep"]]


@pytest.mark.parametrize("seed", range(12))
def test_random_walks(redis_client: Any, redis_namespace: str, seed: int) -> None:
    shard = Shard(redis_client, redis_namespace)
    coordinator = Coordinator()
    walk = Walk(seed)
    listener = redis_client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(shard.key("ch"))
    assert listener.get_message(timeout=5.0) is None  # the confirmation
    try:
        for step in range(200):
            shard.advance(walk.step() / SECOND)
            request = walk.request()
            expected = coordinator.exchange(copy.deepcopy(request), shard.now)
            reply = shard.exchange(request)
            assert reply == expected, (step, request)
            for message in coordinator.published:
                heard = listener.get_message(timeout=5.0)
                assert script.decode(heard["data"]) == message, (step, request)
            coordinator.published.clear()
            walk.heard(request, reply)
        audited = redis_client.xrange(shard.key("audit"))
        entries = [{k.decode(): v.decode() for k, v in entry.items()} for _, entry in audited]
        assert entries == [{k: str(v) for k, v in entry.items()} for entry in coordinator.audit]
    finally:
        listener.close()
