"""The demo with two web services as a user runs it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from cqrs.demo.fleet.output import BUSY
from tests.integration.demo.running import Demo, needs_proc
from tests.servers.plugin import skip_without_server


def guarantees(summary: dict[str, Any]) -> dict[str, bool]:
    return {guarantee["name"]: guarantee["kept"] for guarantee in summary["guarantees"]}


@needs_proc
@pytest.mark.parametrize(("server", "processes"), [("uvicorn", 2), ("hypercorn", 1)])
def test_every_guarantee_is_kept(demo: Demo, tmp_path: Path, server: str, processes: int) -> None:
    if processes > 1:
        skip_without_server()
    options = ["--server", server, "--processes", str(processes), "--seconds", "6", "--json"]
    status, out, err = demo.run("--notifications", *options)
    summary = json.loads(out)
    if status == 1 and summary["event_loop_lag"] > BUSY:
        pytest.skip(f"this machine is too busy for timeouts to mean anything: {guarantees(summary)}")
    assert guarantees(summary) == dict.fromkeys(guarantees(summary), True), summary["guarantees"]
    assert (status, err) == (0, "")
    assert len(summary["guarantees"]) == 9
    assert summary["shared"] is (processes > 1)
    assert summary["server"] == server

    posted = summary["notifications"]
    assert posted["sent"] == posted["delivered"] + sum(posted["queued"].values()) == summary["mails"]
    assert min(posted["delivered"], *posted["queued"].values()) > 0
    for process in summary["processes"]:
        states = [seen["state"] for seen in process["states"]]
        assert states[0] == states[-1] == 0
        assert 2 in states
        assert process["rejections"] > 0
    assert demo.processes() == []
    assert list(tmp_path.iterdir()) == []


def test_without_the_queue_guarantees_are_broken_and_the_exit_status_says_so(demo: Demo) -> None:
    options = ["--processes", "1", "--seconds", "6", "--without-fallback", "price"]
    status, out, err = demo.run("--notifications", *options)
    assert (status, err) == (1, "")
    assert "── The user naruto gets notifications" in out
    assert "/dashboard" in out
    assert "✗  Every mail delivered once" in out
    assert "✓  Answered as documented" in out
    assert "\x1b" not in out


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda it: it.name)
def test_a_stop_on_the_way_leaves_no_process_and_no_traceback(
    demo: Demo, tmp_path: Path, number: signal.Signals
) -> None:
    process = demo.start("--notifications", "--processes", "1")
    assert process.stdout is not None
    while "All is well" not in process.stdout.readline():
        assert process.poll() is None
    assert len(demo.processes()) == 3
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert demo.ends()
    if number is not signal.SIGKILL:
        assert process.returncode == 128 + number
        assert list(tmp_path.iterdir()) == []
