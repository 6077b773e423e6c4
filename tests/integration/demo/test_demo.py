"""The demo as a user runs it: a process with an upstream of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo.running import Demo, needs_proc

SECONDS = "6"
KINDS = {"price", "recommendations", "payment", "catalogue", "shipment"}


def guarantees(summary: dict[str, Any]) -> dict[str, bool]:
    return {guarantee["name"]: guarantee["kept"] for guarantee in summary["guarantees"]}


def test_every_guarantee_is_kept_and_the_summary_and_report_say_so(demo: Demo, tmp_path: Path) -> None:
    report = tmp_path / "it.html"
    status, out, err = demo.run("--seconds", SECONDS, "--json", "--report", str(report))
    summary = json.loads(out)
    assert guarantees(summary) == dict.fromkeys(guarantees(summary), True)
    assert (status, err) == (0, "")
    assert [phase["name"] for phase in summary["phases"]] == [
        "healthy",
        "slow",
        "failing",
        "dead",
        "recovered",
    ]

    guarded, control = summary["services"]["with"], summary["services"]["without"]
    assert guarded["submitted"] == guarded["primary"] + guarded["fallback"] + guarded["rejected"]
    assert guarded["failed"] == 0
    assert min(guarded["primary"], guarded["fallback"], guarded["rejected"]) > 0
    assert control["rejected"] == 0
    assert guarded["upstream_calls"] < control["upstream_calls"]
    assert guarded["orders"] == guarded["shipments_announced"] + guarded["shipments_parked"] > 0

    assert {circuit["name"] for circuit in summary["circuits"]} == KINDS
    for circuit in summary["circuits"]:
        visited = {change["to"] for change in circuit["transitions"]}
        assert {"open", "probing"} <= visited

    assert summary["report"] == str(report)
    page = report.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert "All 7 guarantees kept" in page


def test_a_missing_fallback_breaks_a_guarantee_and_the_exit_status(demo: Demo, tmp_path: Path) -> None:
    status, out, _ = demo.run("--seconds", SECONDS, "--json", "--no-report", "--without-fallback", "price")
    summary = json.loads(out)
    assert status == 1
    assert summary["kept"] is False
    assert guarantees(summary)["Every request answered"] is False
    assert summary["services"]["with"]["failed"] > 0
    assert summary["report"] is None
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_through_a_pipe_the_story_is_told_in_lines(demo: Demo, tmp_path: Path) -> None:
    status, out, err = demo.run("--seconds", SECONDS)
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    for expected in ("── HEALTHY", "── SLOW", "── FAILING", "── DEAD", "── RECOVERED", "→ open", "→ ramping"):
        assert expected in out
    assert "Every guarantee was kept." in out
    assert out.endswith(f"Report: {tmp_path / 'holdfast-report.html'}\n")
    assert demo.processes() == []


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_on_the_way_leaves_no_process_no_file_and_no_traceback(
    demo: Demo, tmp_path: Path, number: signal.Signals
) -> None:
    process = demo.start("--seconds", "30")
    assert process.stdout is not None
    while "── HEALTHY" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert demo.processes() == []
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_the_upstream_does_not_outlive_a_demo_that_was_killed(demo: Demo) -> None:
    process = demo.start("--seconds", "30")
    assert process.stdout is not None
    while "── HEALTHY" not in process.stdout.readline():
        assert process.poll() is None
    assert len(demo.processes()) == 2
    process.kill()
    process.communicate(timeout=60)
    assert demo.ends()
