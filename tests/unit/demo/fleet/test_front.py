from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cqrs.demo.fleet import front as front_module
from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.front import Front, drive
from cqrs.demo.fleet.member import GoneError
from cqrs.demo.recorder import Answer


class Fake:
    """Answers, or dies when it is asked."""

    def __init__(self, answer: str = "primary", dies: bool = False) -> None:
        self.connected = True
        self.asked: list[str] = []
        self.busy = asyncio.Event()
        """Set once it was asked several times."""
        self._answer = answer
        self._dies = dies

    async def ask(self, number: int, sku: str) -> dict[str, Any]:
        self.asked.append(sku)
        if len(self.asked) == 3:
            self.busy.set()
        if self._dies:
            self.connected = False
            raise GoneError
        return {"answer": self._answer}


def front(*members: Fake) -> tuple[Front, Facts]:
    facts = Facts()
    made = Front(facts)
    made.members += members  # type: ignore[arg-type]
    return made, facts


async def test_processes_take_turns() -> None:
    one, two = Fake(), Fake()
    made, facts = front(one, two)
    for _ in range(4):
        await made.ask("sku-01")
    assert (len(one.asked), len(two.asked)) == (2, 2)
    assert [asked.tries for asked in facts.asked] == [1, 1, 1, 1]


async def test_what_a_dead_process_did_not_answer_is_asked_of_another() -> None:
    dead, living = Fake(dies=True), Fake("rejected")
    made, facts = front(living, dead)
    for _ in range(3):
        await made.ask("sku-01")
    assert [asked.answer for asked in facts.asked] == [Answer.REJECTED] * 3
    assert sorted(asked.tries for asked in facts.asked) == [1, 1, 2]
    assert len(dead.asked) == 1
    assert facts.sent == 3


async def test_a_caller_waits_for_a_process_and_goes_away_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "PATIENCE", 0.05)
    made, facts = front()
    await made.ask("sku-01")
    assert [(asked.answer, asked.tries) for asked in facts.asked] == [(Answer.FAILED, 0)]
    assert "no answer within" in facts.asked[0].error


async def test_an_error_of_the_shop_is_a_lost_answer() -> None:
    made, facts = front(Fake("failed"))
    await made.ask("sku-01")
    assert facts.asked[0].answer is Answer.FAILED


async def test_the_load_ends_with_every_request_answered() -> None:
    member, stop = Fake(), asyncio.Event()
    made, facts = front(member)
    async with asyncio.TaskGroup() as group:
        group.create_task(drive(made, facts, 500.0, 1, stop))
        await member.busy.wait()
        stop.set()
    assert facts.ended is not None
    assert 3 <= facts.sent == len(facts.asked)
