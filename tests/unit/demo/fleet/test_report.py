from __future__ import annotations

import json
from pathlib import Path

import pytest

from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.output import as_json, closing, counted
from cqrs.demo.fleet.report import render, write_report
from tests.unit.demo.fleet.support import a_good_run, result
from tests.unit.demo.test_report import parsed


def test_the_report_is_well_formed_and_needs_nothing_else() -> None:
    page = render(result(a_good_run()))
    parser = parsed(page)
    assert parser.open == []
    assert parser.seen.count("svg") == 2
    assert parser.addresses == []
    assert "All opened &lt;together&gt;" in page
    assert "All 12 guarantees kept" in page


def test_every_probe_is_a_dot_with_a_title() -> None:
    page = render(result(a_good_run()))
    assert page.count('<circle class="probe"') == 7
    assert "process 2 probed at 4.99 s" in page


def test_a_broken_guarantee_is_on_top_of_the_report() -> None:
    facts = a_good_run()
    facts.sent += 1
    assert "✗ 1 of 12 guarantees broken" in render(result(facts))


def test_a_run_that_was_over_at_once_has_a_report() -> None:
    facts = Facts()
    facts.ended = 0.01
    assert parsed(render(result(facts))).open == []


def test_the_report_goes_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_report(result(a_good_run()), None) == Path("holdfast-fleet-report.html")
    assert (
        write_report(result(a_good_run()), tmp_path / "it.html").read_text(encoding="utf-8").startswith("<!")
    )


def test_the_closing_says_what_was_counted_and_judges_it() -> None:
    text = closing(result(a_good_run()), Path("there.html"), colour=False)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "✓  Every caller answered" in text
    assert "Every guarantee was kept.\nReport: " in text


def test_a_busy_machine_is_told_of() -> None:
    facts = a_good_run()
    assert "busy" not in closing(result(facts), None, colour=False)
    facts.note_lag(0.42)
    assert "This machine was busy: the event loop was up to 420 ms late." in closing(
        result(facts), None, colour=False
    )


def test_what_is_counted() -> None:
    assert counted(a_good_run()) == (
        "21 price queries were sent at a steady rate, one process after the other: 11 by the primary, 10 by "
        "the fallback without a call (upstream spared), 0 by the fallback after a failed call, 0 lost. Lost "
        "is an error, or no answer within 10 s. When a process dies, what it has not answered is asked of "
        "another one, as load balancers do with queries; that happened to 1, and the caller's wait includes "
        "it."
    )


def test_the_summary_for_programs_is_json() -> None:
    document = json.loads(json.dumps(as_json(result(a_good_run()), None)))
    assert document["kept"] is True
    assert document["report"] is None
    assert document["callers"]["sent"] == 21
    assert document["callers"]["asked_again"] == 1
    assert [process["slot"] for process in document["processes"]] == [1, 2, 3, 2]
    assert [process["probes"] for process in document["processes"]] == [3, 1, 2, 1]
    assert document["decisions"][0]["reason"] == "6 failures in a row"
