from __future__ import annotations

from pathlib import Path

import pytest

from cqrs.demo.fleet.facts import Call, Facts
from cqrs.demo.fleet.member import GoneError, Member
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.recorder import Answer
from cqrs.testing import FakeClock


def member() -> tuple[Member, Facts, list[Call]]:
    facts, calls = Facts(FakeClock(start=100.0)), list[Call]()
    return Member(2, facts, lambda _, call: calls.append(call)), facts, calls


def test_what_a_process_says_becomes_facts_in_seconds_since_the_start() -> None:
    made, facts, calls = member()
    assert facts.living() == []
    for said in (
        {"what": "ready", "at": 101.0},
        {"what": "call", "at": 102.0, "id": 7, "received": 101.9},
        {"what": "state", "at": 103.0, "since": 102.5, "state": "open", "reason": "x", "source": "fleet"},
        {"what": "called", "at": 102.5, "id": 7, "ok": False},
        {"what": "answer", "at": 102.6, "id": 7, "answer": "fallback"},
        {"what": "degraded", "at": 104.0},
        {"what": "recovered", "at": 105.0},
    ):
        made._take(said)
    process = made.process
    assert facts.living() == [process]
    assert (process.ready, process.state, process.switches[0].at) == (1.0, "open", 2.5)
    assert (process.degraded, process.recovered, process.alone) == ([4.0], [5.0], False)
    (call,) = calls
    assert (round(call.received, 3), call.started, call.ended, call.succeeded) == (1.9, 2.0, 2.5, False)
    assert process.answers[Answer.FALLBACK] == 1


async def test_a_process_answers_is_killed_and_gone(tmp_path: Path) -> None:
    made, facts, calls = member()
    assert not made.connected
    # Without a store, and with a port on which nothing listens: the fallback answers.
    await made.start("", 9, tmp_path, Plan(shared=False))
    try:
        assert made.connected
        assert (await made.ask(1, "sku-01"))["answer"] == "fallback"
        assert len(calls) == 1
        made.kill()
    finally:
        await made.stop()
    assert made.process.killed is not None
    assert not made.connected
    assert not made.running
    with pytest.raises(GoneError):
        await made.ask(2, "sku-01")
    assert facts.living() == []


async def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    made, *_ = member()
    try:
        with pytest.raises(RuntimeError, match="a process of the shop did not start: Traceback"):
            await made.start("nonsense://", 9, tmp_path, Plan())
    finally:
        await made.stop()
