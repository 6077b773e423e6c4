from __future__ import annotations

import argparse

import pytest

from cqrs._version import __version__
from cqrs.cli import main


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"holdfast {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["dance"], "dance"),
        (["demo", "--seconds", "1"], "seconds=1.0 is too short"),
        (["demo", "--seconds", "soon"], "--seconds"),
        (["demo", "--notifications", "--seconds", "5"], "seconds=5.0 is too short"),
        (["demo", "--notifications", "--processes", "0"], "0 is not a number of processes from 1 to 8"),
        (["demo", "--notifications", "--processes", "two"], "--processes"),
        (["demo", "--notifications", "--server", "gunicorn"], "gunicorn"),
        (["demo", "--notifications", "--fleet", "3"], "not allowed with"),
        (["demo", "--processes", "2"], "--processes and --server belong to --notifications"),
        (["demo", "--fleet", "2", "--server", "hypercorn"], "belong to --notifications"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_help_names_the_options_and_hides_what_is_for_tests(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    out = capsys.readouterr().out
    for option in ("--seconds", "--seed", "--json", "--plain", "--report", "--no-report"):
        assert option in out
    assert "--without-fallback" not in out


def test_an_interruption_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("cqrs.cli.demo._demo", interrupted)
    assert main(["demo"]) == 130
