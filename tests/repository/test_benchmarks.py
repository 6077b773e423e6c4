"""The benchmarks run: every case with tiny counts, and no figure is asserted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers.binaries import ServerMissing
from tests.servers.plugin import NOT_TESTED, skip_without_server
from tests.servers.postgres import find_binaries

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "benchmarks" / "run.py"
PAGE = ROOT / "docs" / "benchmarks.md"
TINY = ("--here", "--rounds", "1", "--seconds", "0.0005", "--patience", "0")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


def case_keys(group: str) -> list[str]:
    done = bench(group, "--list")
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()]


CORE, FLEET, HTTP = case_keys("core"), case_keys("fleet"), case_keys("http")
DURABLE = case_keys("durable")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one round of the core cases reports, with this interpreter and without installing anything."""
    return report_of("core", tmp_path_factory.mktemp("benchmarks"))


@pytest.fixture(scope="module")
def http_report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same of the cases about service clients."""
    return report_of("http", tmp_path_factory.mktemp("benchmarks"), "--no-peers")


def report_of(group: str, folder: Path, *arguments: str) -> Any:
    target = folder / "figures.json"
    done = bench(group, *TINY, *arguments, "--json", str(target))
    assert target.exists(), done.stderr
    return json.loads(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("key", CORE)
def test_every_subject_of_holdfast_runs_and_passes_its_self_check(report: Any, key: str) -> None:
    check_subjects(report["cases"][key])


@pytest.mark.parametrize("key", CORE)
def test_every_target_is_about_a_subject_that_was_measured(report: Any, key: str) -> None:
    check_targets(report["cases"][key])


@pytest.mark.parametrize("key", FLEET)
def test_a_fleet_plays_every_case_on_its_own_server(key: str, tmp_path: Path) -> None:
    skip_without_server()
    case = report_of("fleet", tmp_path, "--no-peers", "--case", key)["cases"][key]
    check_subjects(case)
    check_targets(case)


@pytest.mark.parametrize("key", DURABLE)
def test_sagas_and_the_outbox_play_every_case(key: str, tmp_path: Path) -> None:
    try:
        find_binaries()
    except ServerMissing as missing:
        pytest.skip(f"{NOT_TESTED}{missing}")
    case = report_of("durable", tmp_path, "--no-peers", "--case", key)["cases"][key]
    check_subjects(case)
    check_targets(case)


@pytest.mark.parametrize("key", HTTP)
def test_service_clients_play_every_case(http_report: Any, key: str) -> None:
    if key == "http-rejected-commands":
        skip_without_server()
    check_subjects(http_report["cases"][key])
    check_targets(http_report["cases"][key])


def check_subjects(case: Any) -> None:
    assert case["wrong"] == {}
    assert [label for label in case["missing"] if "Holdfast" in label or "floor" in label] == []
    assert any(row["label"].startswith("Holdfast") for row in case["rows"])
    assert all(row["value"][1] is not None for row in case["rows"])


def check_targets(case: Any) -> None:
    measured = {row["label"] for row in case["rows"]}
    assert {target["subject"] for target in case["targets"]} <= measured


def test_the_page_shows_every_case_that_can_be_run() -> None:
    shown = set(re.findall(r"^### `([\w-]+)`", PAGE.read_text(encoding="utf-8"), flags=re.M))
    assert shown == {*CORE, *FLEET, *HTTP, *DURABLE}


@pytest.mark.parametrize("group", [(), ("core",), ("fleet",), ("http",), ("durable",)])
def test_a_partial_run_does_not_replace_the_page(group: tuple[str, ...]) -> None:
    before = PAGE.read_bytes()
    done = bench(*group, "--write", "--case", "e", "--here", "--rounds", "1")
    assert done.returncode == 1
    assert "full run" in done.stderr
    assert PAGE.read_bytes() == before


@pytest.mark.parametrize("arguments", [("--case", "no-such-case"), ("core", "--case", "fleet-idle")])
def test_an_unknown_case_is_refused_by_name(arguments: tuple[str, ...]) -> None:
    done = bench(*arguments)
    assert done.returncode == 1
    assert arguments[-1] in done.stderr
