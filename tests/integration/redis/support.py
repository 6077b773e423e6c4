"""Running the script by hand, on the server's clock or on one that the test sets."""

from __future__ import annotations

import itertools
from typing import Any

from cqrs.circuit_breaker.redis import script

CLOCK_LINE = "local t = redis.call('TIME')\n"
VIRTUAL_LINE = "local t = { 0, redis.call('GET', PREFIX .. 'clock') }\n"

RULES: dict[str, Any] = {
    "cfg": "default",
    "min": 10,
    "fr": 0.5,
    "sr": -1,
    "row": -1,
    "quorum": 0.5,
    "grace_us": 2_000_000,
    "crowd": 50,
    "confirm_us": 100_000,
    "report_us": 30_000_000,
    "base_us": 5_000_000,
    "mult": 2.0,
    "max_us": 60_000_000,
    "jit": 0.2,
    "need": 3,
    "conc": 1,
    "lease_us": 10_000_000,
    "half_us": 60_000_000,
    "half_to": "open",
    "ramp_us": -1,
    "ramp_from": 1.0,
}

REPORT: dict[str, Any] = {
    "t": 0, "f": 0, "s": 0, "d": 0, "o": 0, "trip": 0, "trip_us": -1, "n": 0, "h": 0, "k": 0, "l": 0, "z": 0,
}  # fmt: skip


def on_virtual_clock(source: str) -> str:
    """Return the script with its one look at the clock replaced by one at the key ``<prefix>clock``."""
    assert source.count(CLOCK_LINE) == source.count("'TIME'") == 1
    return source.replace(CLOCK_LINE, VIRTUAL_LINE)


def execute(client: Any, prefix: str, request: dict[str, Any], source: str | None = None) -> dict[str, Any]:
    """Run the script (or ``source`` instead) on the server and return its reply."""
    import redis

    payload = script.encode(request)
    if source is not None:
        return script.decode(client.eval(source, 1, prefix, payload))
    try:
        return script.decode(client.evalsha(script.sha1(), 1, prefix, payload))
    except redis.exceptions.NoScriptError:
        return script.decode(client.eval(script.source(), 1, prefix, payload))


class Shard:
    """A shard on a real server, with a clock of its own that starts at ``now``."""

    def __init__(self, client: Any, namespace: str, now: int = 1_700_000_000_000_000) -> None:
        self.client = client
        self.prefix = f"{namespace}{{{0}}}:"
        self.source = on_virtual_clock(script.source())
        self.now = now
        self.incarnations = itertools.count(1)
        self.seen: dict[str, tuple[str, int]] = {}

    def key(self, suffix: str) -> str:
        """Return the key of the shard that ends so."""
        return self.prefix + suffix

    def advance(self, seconds: float) -> None:
        """Let time pass, or step back."""
        self.now += round(seconds * 1_000_000)

    def exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a request as it is."""
        self.client.set(self.key("clock"), self.now)
        return execute(self.client, self.prefix, request, self.source)

    def ask(self, *ops: dict[str, Any], node: str = "a", rules: Any = RULES, **fields: Any) -> dict[str, Any]:
        """Send operations of a node; returns the whole reply."""
        request: dict[str, Any] = {
            "node": node,
            "inc": f"i{next(self.incarnations)}",
            "stale_us": 3_250_000,
            "seen": ["", 0],
            "rules": [rules],
            "ops": list(ops),
        }
        return self.exchange(request | fields)

    def do(
        self,
        kind: str,
        circuit: str = "pay",
        *,
        node: str = "a",
        rules: Any = RULES,
        seen: tuple[str, int] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Run one operation, having seen the circuit as it was last shown to the test; returns its result."""
        known = self.seen.get(circuit, ("", 0)) if seen is None else seen
        op = {
            "op": kind,
            "id": circuit,
            "name": circuit,
            "seen": list(known),
            "rules": 0,
            "rnd": 0.0,
            **fields,
        }
        result: dict[str, Any] = self.ask(op, node=node, rules=rules)["results"][0]
        if "view" in result:
            self.seen[circuit] = (result["view"]["inc"], result["view"]["ep"])
        return result

    def report(
        self, circuit: str = "pay", *, node: str = "a", rules: Any = RULES, **figures: Any
    ) -> dict[str, Any]:
        """Report figures of a node's window."""
        return self.do("report", circuit, node=node, rules=rules, **(REPORT | figures))
