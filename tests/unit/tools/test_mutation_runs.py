"""Mutants are run against tests in a copy: killed, hung or survived, and the work tree stays as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tools.mutation.cli import DONE, FAILED, SURVIVORS, main

from tests.servers.base import wait_until
from tests.servers.plugin import skip_without_server

ROOT = Path(__file__).parents[3]

MODULE = """
def bounded(value):
    if value > 10:
        return 10
    return value

def turns(number):
    turned = 0
    while number:
        number -= 1
        turned += 1
    return turned
"""
TESTS = """
from cqrs.small import bounded, turns

def test_bounded():
    assert bounded(5) == 5
    assert bounded(50) == 10

def test_turns():
    assert turns(3) == 3
"""
LUA = """
local key = KEYS[1]
redis.call('SET', key, ARGV[1])
redis.call('EXPIRE', key, 60)
return redis.call('GET', key)
"""
LOOPING_LUA = """
redis.call('SET', KEYS[1], 'value')
local n = 1
while n > 0 do n = n - 1 end
return redis.call('GET', KEYS[1])
"""
STUCK_TEST = """
import os, pathlib, signal

def test_it():
    pathlib.Path({marker!r}).write_text(str(os.getpid()))
    signal.pause()
"""
LUA_TESTS = """
import os, pathlib, redis

def test_script():
    text = (pathlib.Path(__file__).parents[1] / "src/cqrs/small.lua").read_text()
    with redis.Redis.from_url(os.environ["HOLDFAST_TEST_REDIS_URL"], retry=None, socket_timeout=1) as client:
        assert client.dbsize() == 0
        assert client.eval(text, 1, "key", "value") == b"value"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project that is as small as can be."""
    package = tmp_path / "src" / "cqrs"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "small.py").write_text(MODULE)
    (package / "small.lua").write_text(LUA)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_small.py").write_text(TESTS)
    (tmp_path / "checks" / "test_lua.py").write_text(LUA_TESTS)
    return tmp_path


def run(tree: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(arguments, root=tree)
    return status, capsys.readouterr().out


PYTHON = (
    "python",
    "--module",
    "cqrs.small",
    "--tests",
    "checks/test_small.py",
    "--no-server",
    "--workers",
    "1",
)


def test_survivors_are_reported_with_their_lines(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.md"
    status, output = run(
        tree, capsys, *PYTHON, "--function", "bounded", "--report", str(report), "--fail-under", "99"
    )
    assert status == SURVIVORS
    survivors = report.read_text().split("\n\n")[2:]
    assert survivors[0].splitlines() == [
        "src/cqrs/small.py in bounded",
        "- if value > 10:",
        "+ if value >= 10:",
        "SURVIVED line 3: comparison",
    ]
    assert "+ if value > 11:" in survivors[1]
    assert len(survivors) == 2, output
    assert (tree / "src/cqrs/small.py").read_text() == MODULE
    again = run(tree, capsys, *PYTHON, "--again", str(report), "--list")[1]
    assert [line for line in again.splitlines() if line.startswith("+")] == [
        "+ if value >= 10:",
        "+ if value > 11:",
    ]


def test_a_mutant_that_hangs_is_killed_and_counts(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output = run(tree, capsys, *PYTHON, "--lines", "10-10", "--limit", "3", "--sample", "1")
    row = next(line for line in output.splitlines() if line.startswith("| src/cqrs/small.py"))
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    assert cells[1:] == ["1", "0", "1", "0", "0", "100.0 %"], output
    assert status == DONE


def test_nothing_is_said_about_mutants_when_the_tests_fail_without_one(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "checks" / "test_small.py").write_text(TESTS + "\ndef test_wrong(): assert 1 == 2\n")
    status, output = run(tree, capsys, *PYTHON, "--baseline")
    assert status == FAILED
    assert "test_wrong" in output
    status, output = run(tree, capsys, *PYTHON, "--baseline", "-k", "nothing")
    assert status == FAILED
    assert "no tests were run" in output


def test_tests_that_do_not_run_the_file_say_nothing_about_it(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "src/cqrs/other.py").write_text(MODULE)
    status, output = run(tree, capsys, *PYTHON, "--module", "cqrs.other", "--baseline")
    assert status == FAILED
    assert "src/cqrs/other.py is broken altogether" in output


def test_a_sample_is_the_same_for_the_same_seed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = [run(tree, capsys, *PYTHON, "--list", "--sample", "5", "--seed", seed)[1] for seed in "113"]
    assert lists[0] == lists[1] != lists[2]
    assert lists[0].count("\n- ") == 5


def test_a_revision_is_taken_from_git(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tree)]
    for command in (["init", "-q"], ["add", "src"], ["commit", "-q", "-m", "One"]):
        subprocess.run([*git, *command], check=True)
    (tree / "src/cqrs/small.py").write_text("x = 1 + 2\n")
    assert "cqrs/small.py:3 in bounded" in run(tree, capsys, *PYTHON, "--list", "--revision", "HEAD")[1]
    assert "bounded" not in run(tree, capsys, *PYTHON, "--list")[1]


def test_lua_mutants_share_a_server_that_is_cleaned_between_them(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_server()
    arguments = ("lua", "--file", "src/cqrs/small.lua", "--tests", "checks/test_lua.py", "--workers", "2")
    _, output = run(tree, capsys, *arguments)
    survived = [line for line in output.partition("| file")[2].splitlines() if line.startswith("+")]
    assert survived == ["+", "+ redis.call('EXPIRE', key, 61)"], output


def test_a_script_that_never_ends_does_not_stop_the_others(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_server()
    (tree / "src/cqrs/small.lua").write_text(LOOPING_LUA)
    arguments = ("lua", "--file", "src/cqrs/small.lua", "--tests", "checks/test_lua.py", "--workers", "1")
    _, output = run(tree, capsys, *arguments, "--lines", "4-4")
    row = next(line for line in output.splitlines() if line.startswith("| src/cqrs/small.lua"))
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    # n - 0, n + 1 and the like never end; what survives is the loop left out and its other bounds
    assert int(cells[2]) + int(cells[3]) >= 2, output
    assert "SURVIVED" in output


def test_workers_end_when_the_runner_is_killed(tree: Path) -> None:
    marker = tree / "pid"
    (tree / "checks" / "test_small.py").write_text(STUCK_TEST.format(marker=str(marker)))
    command = [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from tools.mutation.cli import main\n",
    ]
    command[-1] += f"main(sys.argv[1:], root=Path({str(tree)!r}))"
    process = subprocess.Popen([*command, *PYTHON], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until(lambda: marker.exists() and bool(marker.read_text()), "a test that runs")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not _alive(int(marker.read_text())), "the end of the worker")


def _alive(pid: int) -> Any:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
