from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cqrs.demo import report
from cqrs.demo.output import as_json, closing
from cqrs.demo.recorder import Answer, Service
from cqrs.demo.report import render, write_report
from cqrs.demo.schedule import Kind, Timing
from cqrs.demo.verdict import Result, judge
from tests.unit.demo.support import Script, a_good_run

VOID = {"meta", "br", "link", "img", "input", "hr"}


class WellFormed(HTMLParser):
    """Notes elements that are closed in the wrong order or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def result(script: Script | None = None) -> Result:
    script = script or a_good_run()
    summary = script.summary()
    return Result(script.recorder, summary, judge(summary, Timing(24.0)))


def parsed(page: str) -> WellFormed:
    parser = WellFormed()
    parser.feed(page)
    parser.close()
    return parser


def test_the_report_is_well_formed() -> None:
    parser = parsed(render(result()))
    assert parser.open == []
    assert parser.seen.count("svg") == 5
    assert parser.seen.count("table") == 4


def test_the_report_needs_nothing_but_itself() -> None:
    page = render(result())
    assert parsed(page).addresses == []
    assert "http" not in re.sub(r"<script type=.application/json.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"@import|url\(", page)


def test_the_figures_of_the_cursor_are_valid_json() -> None:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', render(result()), re.DOTALL
    )
    assert found is not None
    data = json.loads(found[1])
    assert len(data["slots"]) == report.SLOTS
    assert all(len(slot["rows"]) == len(data["rows"]) for slot in data["slots"])


def test_charts_have_a_text_for_those_who_cannot_see_them() -> None:
    labels = re.findall(r'<svg [^>]*role="img"[^>]*aria-label="([^"]+)"', render(result()))
    assert len(labels) == 5
    assert any("10 answered by primaries" in label for label in labels)


def test_the_verdict_is_told_in_words_and_marks() -> None:
    assert "All 7 guarantees kept" in render(result())
    script = a_good_run()
    script.request(Service.WITH, Kind.PRICE, Answer.FAILED)
    page = render(result(script))
    assert "1 of 7 guarantees broken" in page
    assert page.count("✗ broken") == 1


def test_reasons_from_outside_cannot_break_the_page() -> None:
    script = a_good_run()
    script.switch(Kind.PRICE, "<b>open", "</script><script>alert(1)")
    page = render(result(script))
    assert "<b>open" not in page
    assert "alert(1)" not in page
    assert parsed(page).open == []


def test_a_run_that_was_empty_has_a_report_too() -> None:
    script = Script()
    script.wait(1.0)
    assert parsed(render(result(script))).open == []


def test_the_report_goes_where_it_is_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "it.html"
    assert write_report(result(), path) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_given_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        write_report(result(), tmp_path / "nowhere" / "it.html")


def test_a_folder_that_cannot_be_written_leads_to_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "holdfast-report.html").mkdir()  # even root cannot write a file there
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = write_report(result(), None)
    assert path.is_file()
    assert path.name == "holdfast-report.html"
    assert path.parent.parent == tmp_path


def test_the_closing_words_fit_a_small_terminal() -> None:
    lines = closing(result(), None, colour=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Every guarantee was kept."


def test_the_closing_words_point_at_what_broke_and_at_the_report(tmp_path: Path) -> None:
    script = a_good_run()
    script.request(Service.WITH, Kind.PRICE, Answer.FAILED)
    text = closing(result(script), tmp_path / "it.html", colour=True)
    assert "\x1b[1;31m✗\x1b[0m  Every request answered" in text
    assert "1 guarantees were broken." in text
    assert text.endswith(f"Report: {tmp_path / 'it.html'}")


def test_the_json_summary_survives_a_round_trip() -> None:
    document = json.loads(json.dumps(as_json(result(), None)))
    assert document["kept"] is True
    assert document["report"] is None
    assert document["services"]["with"]["answered_percent"] == 100.0
    assert [phase["name"] for phase in document["phases"]] == ["healthy", "slow", "dead", "recovered"]
    assert {circuit["name"] for circuit in document["circuits"]} == {kind.value for kind in Kind}
    transitions = document["circuits"][0]["transitions"]
    assert [change["to"] for change in transitions] == ["open", "probing", "ramping", "closed"]
