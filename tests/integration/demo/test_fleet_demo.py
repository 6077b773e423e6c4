"""The fleet's demo as a user runs it: processes, an upstream and a Redis-protocol server of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from cqrs.demo.fleet.output import BUSY
from tests.integration.demo.running import Demo, needs_proc
from tests.servers.plugin import skip_without_server

#: Seconds; a run takes about half of it when nothing else is going on.
BOUND = 30.0


@pytest.fixture(autouse=True)
def server_is_there() -> None:
    skip_without_server()


def guarantees(summary: dict[str, Any]) -> dict[str, bool]:
    return {guarantee["name"]: guarantee["kept"] for guarantee in summary["guarantees"]}


@needs_proc
def test_every_guarantee_is_kept_by_three_processes(demo: Demo, tmp_path: Path) -> None:
    report = tmp_path / "it.html"
    status, out, err = demo.run("--fleet", "3", "--fast", "--json", "--report", str(report))
    summary = json.loads(out)
    if status == 1 and summary["event_loop_lag"] > BUSY:
        pytest.skip(f"this machine is too busy for timeouts to mean anything: {guarantees(summary)}")
    assert guarantees(summary) == dict.fromkeys(guarantees(summary), True), summary["guarantees"]
    assert (status, err) == (0, "")
    assert len(summary["guarantees"]) == 12
    assert summary["seconds"] < BOUND or summary["event_loop_lag"] > BUSY

    callers = summary["callers"]
    assert callers["sent"] == callers["primary"] + callers["fallback"] + callers["rejected"] > 0
    assert callers["failed"] == 0
    assert callers["asked_again"] >= 1
    assert [process["slot"] for process in summary["processes"]][:3] == [1, 2, 3]
    assert sum(process["killed"] is not None for process in summary["processes"]) == 1
    assert {"from": "closed", "to": "open"}.items() <= summary["decisions"][0].items()

    page = report.read_text(encoding="utf-8")
    assert "All 12 guarantees kept" in page
    assert demo.processes() == []
    assert list(tmp_path.iterdir()) == [report]


def test_processes_that_do_not_share_break_guarantees_and_the_exit_status(demo: Demo) -> None:
    status, out, _ = demo.run("--fleet", "2", "--fast", "--json", "--no-report", "--unshared")
    summary = json.loads(out)
    broken = {name for name, kept in guarantees(summary).items() if not kept}
    assert status == 1
    assert summary["kept"] is False
    assert {"Probes while Redis lived", "Loss of Redis told once"} <= broken
    assert not broken & {"Every caller answered", "No process left behind"}


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_on_the_way_leaves_no_process_no_file_and_no_traceback(
    demo: Demo, tmp_path: Path, number: signal.Signals
) -> None:
    process = demo.start("--fleet", "2")
    assert process.stdout is not None
    while "share one circuit" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert demo.processes() == []
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_nothing_outlives_a_demo_that_was_killed(demo: Demo) -> None:
    process = demo.start("--fleet", "2")
    assert process.stdout is not None
    while "share one circuit" not in process.stdout.readline():
        assert process.poll() is None
    # Itself, the upstream, two of the shop, and a shell that watches over the server.
    found = demo.processes()
    assert len(found) == 5
    # The server writes its title over its environment, so it is found as a child.
    (server,) = {child for pid in found for child in children(pid)} - set(found)
    process.kill()
    process.communicate(timeout=60)
    assert demo.ends()
    assert not Path(f"/proc/{server}").exists()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
