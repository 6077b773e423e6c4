"""Every guarantee is kept by a good run, and each is broken by what it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cqrs.demo.notifications.facts import Asked, Facts
from cqrs.demo.notifications.verdict import Result
from tests.unit.demo.notifications.support import PLAN, a_good_run, judged, reading


def test_a_good_run_keeps_every_guarantee() -> None:
    found = judged(a_good_run())
    assert {guarantee.name: guarantee.kept for guarantee in found} == dict.fromkeys(
        (guarantee.name for guarantee in found), True
    )
    assert Result(PLAN, a_good_run(), found).kept


def error_500(facts: Facts) -> None:
    facts.asked[0] = Asked(0.0, 0.01, 500, error="500 Internal Server Error")
    del facts.mails["id-0"]


def refusal_without_retry_after(facts: Facts) -> None:
    facts.asked[0] = Asked(0.0, 0.01, 503, error="503 Service Unavailable")
    del facts.mails["id-0"]


def no_answer(facts: Facts) -> None:
    facts.sent += 1


def never_open(facts: Facts) -> None:
    facts.processes[1].readings = [reading(1.0, 0), reading(9.0, 0, 40)]


def slow_when_open(facts: Facts) -> None:
    facts.asked = [
        replace(asked, seconds=0.9) if asked.reason == "circuit_open" else asked for asked in facts.asked
    ]


def many_calls(facts: Facts) -> None:
    facts.lookups["healed"] += 2


def no_mark(facts: Facts) -> None:
    del facts.marks["healed"]


def no_rejections(facts: Facts) -> None:
    process = facts.processes[0]
    process.readings = [replace(seen, rejections=0) for seen in process.readings]


def lost_mail(facts: Facts) -> None:
    del facts.mails["id-10"]


def mail_sent_twice(facts: Facts) -> None:
    facts.mails["id-10"] += 1


def mail_of_nobody(facts: Facts) -> None:
    facts.mails["id-99"] = 1


def still_open(facts: Facts) -> None:
    facts.processes[0].readings.append(reading(10.0, 2, 41))


def traceback(facts: Facts) -> None:
    facts.logs["notif 2"] = "Traceback (most recent call last):"


def no_logs(facts: Facts) -> None:
    facts.logs = {}


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("Answered as documented", error_500),
        ("Answered as documented", refusal_without_retry_after),
        ("Answered as documented", no_answer),
        ("Circuit opened everywhere", never_open),
        ("Open answers are fast (p99)", slow_when_open),
        ("Service user spared", many_calls),
        ("Service user spared", no_mark),
        ("Rejections are shown", no_rejections),
        ("Every mail delivered once", lost_mail),
        ("Every mail delivered once", mail_sent_twice),
        ("Every mail delivered once", mail_of_nobody),
        ("Circuit closed again", still_open),
        ("No traceback", traceback),
        ("No traceback", no_logs),
    ],
)
def test_a_guarantee_is_broken_alone(name: str, spoil: Callable[[Facts], None]) -> None:
    facts = a_good_run()
    spoil(facts)
    assert [guarantee.name for guarantee in judged(facts) if not guarantee.kept] == [name]


def test_a_run_in_which_nothing_waited_proves_nothing() -> None:
    facts = a_good_run()
    facts.asked = [replace(asked, reason="") for asked in facts.asked]
    broken = {guarantee.name for guarantee in judged(facts) if not guarantee.kept}
    assert broken == {"Every mail delivered once", "Open answers are fast (p99)"}


def test_a_process_that_is_left_breaks_a_guarantee() -> None:
    broken = [guarantee for guarantee in judged(a_good_run(), left=[4711]) if not guarantee.kept]
    assert [(guarantee.name, guarantee.measured) for guarantee in broken] == [
        ("No process left behind", "1 of 4 left")
    ]


def test_circuits_that_are_not_shared_may_probe_each() -> None:
    facts = a_good_run()
    facts.lookups["healed"] += 3
    assert "Service user spared" in {g.name for g in judged(facts) if not g.kept}
    facts.shared = False
    assert all(guarantee.kept for guarantee in judged(facts))


def test_a_late_event_loop_excuses_some_delay_and_not_any() -> None:
    def with_seconds(seconds: float) -> Facts:
        facts = a_good_run()
        facts.lag = 5.0
        facts.asked = [replace(asked, seconds=seconds) for asked in facts.asked]
        return facts

    assert all(guarantee.kept for guarantee in judged(with_seconds(0.4)))
    assert [g.name for g in judged(with_seconds(0.6)) if not g.kept] == ["Open answers are fast (p99)"]


def test_a_refusal_that_says_when_to_come_back_is_documented() -> None:
    facts = a_good_run()
    facts.asked[0] = Asked(0.0, 0.01, 503, retry_after=True)
    del facts.mails["id-0"]
    assert all(guarantee.kept for guarantee in judged(facts))
