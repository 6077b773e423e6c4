from __future__ import annotations

from typing import Any

import pytest

from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.witness import Witness

pytest.importorskip("redis")


class Server:
    """An audit stream; a server that is away refuses."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.entries: list[Any] = []
        self.away = False

    async def xrange(self, name: str, min: str) -> list[Any]:
        if self.away:
            raise ConnectionError
        self.asked.append(min)
        return self.entries


async def test_every_entry_is_read_once_and_counts_the_probes_that_led_to_it() -> None:
    facts, server = Facts(), Server()
    witness = Witness("redis://localhost", facts)
    witness._client = server
    failed = {
        b"from": b"half_open",
        b"to": b"open",
        b"why": b"1 of 2 probes failed",
        b"ok": b"0",
        b"bad": b"1",
    }
    server.entries = [(b"1700000000000-0", failed)]
    await witness.read()
    server.entries = []
    await witness.read()
    server.away = True
    await witness.read()
    server.away = False
    witness.start_over()
    await witness.read()
    assert server.asked == ["-", "(1700000000000-0", "-"]
    (decision,) = facts.decisions
    assert (decision.from_state, decision.to_state, decision.probes) == ("half_open", "open", 1)
    assert decision.reason == "1 of 2 probes failed"
