"""The benchmarks run: every case with tiny counts, and no figure is asserted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "benchmarks" / "run.py"
PAGE = ROOT / "docs" / "benchmarks.md"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


def case_keys() -> list[str]:
    done = bench("--list")
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()]


KEYS = case_keys()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one round of everything reports, with this interpreter and without installing anything."""
    target = tmp_path_factory.mktemp("benchmarks") / "figures.json"
    done = bench("--here", "--rounds", "1", "--seconds", "0.0005", "--patience", "0", "--json", str(target))
    assert target.exists(), done.stderr
    return json.loads(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("key", KEYS)
def test_every_subject_of_holdfast_runs_and_passes_its_self_check(report: Any, key: str) -> None:
    case = report["cases"][key]
    assert case["wrong"] == {}
    assert [label for label in case["missing"] if "Holdfast" in label or "floor" in label] == []
    assert any(row["label"].startswith("Holdfast") for row in case["rows"])
    assert all(row["value"][1] is not None for row in case["rows"])


@pytest.mark.parametrize("key", KEYS)
def test_every_target_is_about_a_subject_that_was_measured(report: Any, key: str) -> None:
    case = report["cases"][key]
    measured = {row["label"] for row in case["rows"]}
    assert {target["subject"] for target in case["targets"]} <= measured


def test_the_page_shows_every_case_that_can_be_run() -> None:
    shown = set(re.findall(r"^### `([\w-]+)`", PAGE.read_text(encoding="utf-8"), flags=re.M))
    assert shown == set(KEYS)


def test_a_partial_run_does_not_replace_the_page() -> None:
    before = PAGE.read_bytes()
    done = bench("--write", "--case", "send", "--here", "--rounds", "1")
    assert done.returncode == 1
    assert "full run" in done.stderr
    assert PAGE.read_bytes() == before


def test_an_unknown_case_is_refused_by_name() -> None:
    done = bench("--case", "no-such-case")
    assert done.returncode == 1
    assert "no-such-case" in done.stderr
