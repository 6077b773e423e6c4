"""Both coordinators behind one face: what a store does with requests, and what happens to stores."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from itertools import takewhile
from typing import Any, Protocol

import pytest

from cqrs.circuit_breaker.fleet.coordinator import Coordinator
from cqrs.circuit_breaker.fleet.coordinator.scores import Scores

START_US = 1_800_000_000_000_000
"""Where the virtual clocks begin: 16 digits, as those of a real server."""

Message = dict[str, Any]


class Server(Protocol):
    """A store that stands at a time that the test sets."""

    def exchange(self, request: Message, now_us: int) -> Message: ...
    def published(self) -> list[Message]:
        """Take the messages since the last call."""
        ...

    def audited(self) -> list[dict[str, str]]:
        """Take the audit entries since the last call; all values are texts, as a stream has them."""
        ...

    def flush(self) -> None: ...
    def dump(self) -> Any: ...
    def load(self, dump: Any) -> None: ...


def members(scores: Scores) -> list[str]:
    """Return the members of a sorted set in order."""
    return [member for _, member in scores.order]


class PythonServer:
    """The coordinator in Python."""

    def __init__(self) -> None:
        self.coordinator = Coordinator()
        self.last_entry: Message | None = None

    def exchange(self, request: Message, now_us: int) -> Message:
        before = copy.deepcopy(request)
        reply = self.coordinator.exchange(request, now_us)
        assert request == before, "a request belongs to its sender"
        return reply

    def published(self) -> list[Message]:
        messages, self.coordinator.published = self.coordinator.published, []
        return messages

    def audited(self) -> list[dict[str, str]]:
        newest = list(takewhile(lambda entry: entry is not self.last_entry, reversed(self.coordinator.audit)))
        if newest:
            self.last_entry = newest[0]
        return [{key: str(value) for key, value in entry.items()} for entry in reversed(newest)]

    def stored(self, id_: str) -> Message:
        """Return all that is kept of a circuit, by the names of keys and fields in Redis."""
        store, found = self.coordinator, dict[str, Any]()
        if (record := store.circuits.get(id_)) is not None:
            found["s"] = {name: str(value) for name, value in vars(record).items() if name != "expires"}
        if permits := store.permits.get(id_):
            found["p"] = permits.scores
        if (reports := store.reports.get(id_)) is not None:
            found["r"] = {
                "#inc": reports.era[0],
                "#ep": str(reports.era[1]),
                "#row": str(reports.row),
                **{f"#{sum_}": str(each) for sum_, each in zip("tfsdun", reports.sums, strict=True)},
                **{f"#q:{node}": str(batch) for node, batch in reports.batches.items()},
                **{node: "|".join(map(str, figures[:5])) for node, figures in reports.nodes.items()},
                **({"#w": str(reports.watched)} if reports.watched >= 0 else {}),
                **({"#told": str(reports.told)} if reports.told >= 0 else {}),
            }
            if reports.seen:
                found["z"] = reports.seen.scores
        return found

    def keys(self) -> dict[str, list[str]]:
        """Return the names of all keys; for sorted sets, with their members in order."""
        store = self.coordinator
        found = {"m": [], "n": members(store.nodes), "log": members(store.log)}
        found |= {f"s:{id_}": [] for id_ in store.circuits}
        found |= {f"p:{id_}": members(permits) for id_, permits in store.permits.items()}
        found |= {f"r:{id_}": [] for id_ in store.reports}
        found |= {f"z:{id_}": members(reports.seen) for id_, reports in store.reports.items()}
        return {key: each for key, each in found.items() if each or key[0] in "msr"}

    def flush(self) -> None:
        self.coordinator.clear()

    def dump(self) -> Any:
        return self.coordinator.dump()

    def load(self, dump: Any) -> None:
        self.coordinator.load(dump)


CLOCK_LINE = "local t = redis.call('TIME')"
CLOCK_KEY = "local t = cjson.decode(redis.call('GET', KEYS[1] .. 'clock'))"


class LuaServer:
    """The script in a real server; the one line that reads the server's clock reads a key instead."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.prefix = f"holdfast:1:{{test-{uuid.uuid4().hex}:0}}:"
        source = files("cqrs.circuit_breaker.redis").joinpath("fleet.lua").read_text("utf-8")
        assert source.count(CLOCK_LINE) == 1
        assert source.count("'TIME'") == 1
        self.sha = client.script_load(source.replace(CLOCK_LINE, CLOCK_KEY))
        self.channel = client.pubsub(ignore_subscribe_messages=False)
        self.channel.subscribe(self.prefix + "ch")
        assert self.channel.get_message(timeout=2.0)["type"] == "subscribe"
        self.last_entry = "-"

    def exchange(self, request: Message, now_us: int) -> Message:
        clock = json.dumps([str(now_us // 1_000_000), str(now_us % 1_000_000)])
        pipeline = self.client.pipeline(transaction=False)
        pipeline.set(self.prefix + "clock", clock)
        pipeline.evalsha(self.sha, 1, self.prefix, json.dumps(request))
        reply: Message = json.loads(pipeline.execute()[1], parse_float=refuse)
        return reply

    def stored(self, id_: str) -> Message:
        """Return the same as ``PythonServer.stored``."""
        pipeline = self.client.pipeline(transaction=False)
        for kind in "sr":
            pipeline.hgetall(f"{self.prefix}{kind}:{id_}")
        for kind in "pz":
            pipeline.zrange(f"{self.prefix}{kind}:{id_}", 0, -1, withscores=True)
        state, reports, permits, reporters = pipeline.execute()
        texts = {"s": state, "r": reports}
        found: Message = {
            kind: {name.decode(): value.decode() for name, value in fields.items() if name != b"#name"}
            for kind, fields in texts.items()
        }
        found["p"] = {member.decode(): int(score) for member, score in permits}
        found["z"] = {member.decode(): int(score) for member, score in reporters}
        return {kind: each for kind, each in found.items() if each}

    def published(self) -> list[Message]:
        self.client.publish(self.prefix + "ch", "end")  # what was published before has arrived when this has
        messages: list[Message] = []
        while True:
            message = self.channel.get_message(timeout=2.0)
            assert message is not None, "a message got lost"
            if message["data"] == b"end":
                return messages
            messages.append(json.loads(message["data"], parse_float=refuse))

    def audited(self) -> list[dict[str, str]]:
        entries = self.client.xrange(self.prefix + "audit", min=self.last_entry)
        if entries:
            self.last_entry = "(" + entries[-1][0].decode()
        return [{key.decode(): value.decode() for key, value in entry.items()} for _, entry in entries]

    def _keys(self) -> list[bytes]:
        """All but the audit, which is no state."""
        keys = self.client.scan_iter(match=self.prefix + "*", count=1000)
        return [key for key in keys if not key.endswith((b":audit", b":clock"))]

    def keys(self) -> dict[str, list[str]]:
        """Return the same as ``PythonServer.keys``."""
        found: dict[str, list[str]] = {}
        for key in self._keys():
            name = key.decode().removeprefix(self.prefix)
            ordered = self.client.zrange(key, 0, -1) if name[0] in "npzl" else []
            found[name] = [member.decode() for member in ordered]
        return found

    def flush(self) -> None:
        if keys := self._keys():
            self.client.delete(*keys)

    def dump(self) -> Any:
        return {key: self.client.dump(key) for key in self._keys()}

    def load(self, dump: Any) -> None:
        self.flush()
        for key, value in dump.items():
            self.client.restore(key, 0, value)

    def close(self) -> None:
        self.channel.close()
        self.flush()
        self.client.delete(self.prefix + "audit", self.prefix + "clock")


def refuse(number: str) -> float:
    """Fail: a time that is not a whole number has been rounded somewhere."""
    raise AssertionError(f"{number} in a reply")


def without_ages(reply: Message) -> Message:
    """Return a reply without the ages of audit entries: the stream of a real server has times of its own."""
    if "audit" not in reply:
        return reply
    assert all(entry["ago_us"] >= 0 for entry in reply["audit"])
    return reply | {"audit": [entry | {"ago_us": 0} for entry in reply["audit"]]}


def as_text(reply: Message) -> str:
    return json.dumps(reply, sort_keys=True)


class BothServers:
    """The coordinator in Python and the script, which must say the same to everything."""

    def __init__(self, lua: LuaServer) -> None:
        self.python = PythonServer()
        self.lua = lua

    def exchange(self, request: Message, now_us: int) -> Message:
        reply = self.python.exchange(request, now_us)
        other = self.lua.exchange(request, now_us)
        expected = without_ages(reply)
        assert without_ages(other) == expected, "Lua == Python"
        # 0 is equal to False in Python, but not in JSON.
        assert as_text(without_ages(other)) == as_text(expected), "Lua == Python"
        for id_ in {op["id"] for op in request["ops"]}:
            assert self.lua.stored(id_) == self.python.stored(id_), "Lua == Python"
        return reply

    def published(self) -> list[Message]:
        messages = self.python.published()
        assert self.lua.published() == messages, "Lua == Python"
        return messages

    def audited(self) -> list[dict[str, str]]:
        entries = self.python.audited()
        assert self.lua.audited() == entries, "Lua == Python"
        return entries

    def compare_keys(self) -> None:
        """Check that both store something under the same keys: a healthy circuit has none."""
        assert self.lua.keys() == self.python.keys(), "Lua == Python"

    def flush(self) -> None:
        self.python.flush()
        self.lua.flush()

    def dump(self) -> Any:
        return self.python.dump(), self.lua.dump()

    def load(self, dump: Any) -> None:
        self.python.load(dump[0])
        self.lua.load(dump[1])


KINDS = ["python", "both"]


@contextmanager
def running(kind: str, request: pytest.FixtureRequest) -> Iterator[Server]:
    """Provide the server of one of the ``KINDS``; a real one is only started for those that need it."""
    if kind == "python":
        yield PythonServer()
        return
    lua = LuaServer(request.getfixturevalue("redis_client"))
    try:
        yield BothServers(lua)
    finally:
        lua.close()
