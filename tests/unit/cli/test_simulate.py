from __future__ import annotations

from pathlib import Path

import pytest

from cqrs.cli import main


def test_a_table_per_scenario_is_printed_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--scenario", "outage", "--scenario", "healthy", "--processes", "3"]
    assert main(["simulate", *arguments]) == 0
    out = capsys.readouterr().out
    assert "outage: 3 processes, 140 s" in out
    assert "healthy: 3 processes, 120 s" in out
    assert out.count("consecutive:5:30") == 2
    assert out.count("leaked ") == 3


def test_the_default_is_an_outage_and_the_same_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["simulate", "--processes", "4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("outage")
    assert out[: len(out) // 2] == out[len(out) // 2 :]


def test_all_scenarios_go_to_one_csv_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "all.csv"
    assert (
        main(["simulate", "--scenario", "all", "--policy", "default", "--processes", "2", "--csv", str(path)])
        == 0
    )
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 7
    assert "cold-recovery" in capsys.readouterr().out


def test_the_course_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "outage.svg"
    assert main(["simulate", "--processes", "2", "--svg", str(path)]) == 0
    assert path.read_text(encoding="utf-8").startswith("<svg")


def test_a_file_that_cannot_be_written_is_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--processes", "1", "--csv", str(tmp_path / "no" / "where.csv")]) == 1
    assert "where.csv" in capsys.readouterr().err


def test_shared_circuits_are_run_beside_those_of_each_process_for_every_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, svg = tmp_path / "shared.csv", tmp_path / "shared.svg"
    store = ["--sync-interval", "0.5", "--quorum", "0.3", "--store-latency", "0.01", "--store-jitter", "0"]
    faults = ["--store-outage", "40:50", "--store-outage", "60:70.5", "--store-forgets", "--no-push"]
    arguments = ["simulate", "--shared", *store, *faults, "--policy", "none", "--policy", "default"]
    assert main([*arguments, "--processes", "2,3", "--csv", str(csv)]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if "processes, 140 s" in line] == ["outage:"] * 2
    assert out.count("default + store ") == 2
    assert "store/s     commands" in out
    rows = [line.split(",")[:4] for line in csv.read_text(encoding="utf-8").splitlines()[1:]]
    shown = [("none", "none"), ("default", "own"), ("default", "shared")]
    assert rows == [["outage", policy, own, size] for size in "23" for policy, own in shown]
    assert main([*arguments, "--processes", "2", "--svg", str(svg)]) == 0
    assert "default + store" in svg.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "flood"], "flood"),
        (["--policy", "classical"], "is no policy"),
        (["--policy", "default,failure_rate_threshold=2"], "failure_rate_threshold=2"),
        (["--processes", "0"], "processes=0"),
        (["--processes", "10,x"], "10,x"),
        (["--scenario", "all", "--svg", "x.svg"], "--svg draws one scenario"),
        (["--processes", "1,2", "--svg", "x.svg"], "--svg draws one scenario"),
        (["--sync-interval", "2"], "need --shared"),
        (["--store-outage", "3:4"], "need --shared"),
        (["--shared", "--sync-interval", "100"], "sync_interval=100"),
        (["--shared", "--quorum", "2"], "quorum=2"),
        (["--shared", "--store-outage", "30"], "invalid _span value: '30'"),
        (["--shared", "--store-outage", "9:3"], "the end of an outage=3"),
        (
            ["--shared", "--svg", "x.svg", *(f"--policy=consecutive:{n}" for n in range(1, 5))],
            "at most 6 policies, shared ones included",
        ),
        (["--svg", "x.svg", *(f"--policy=consecutive:{n}" for n in range(1, 8))], "at most 6 policies"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["simulate", *arguments])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_help_shows_how_a_policy_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    out = capsys.readouterr().out
    assert "consecutive:3:10,recovery_ramp=20:0.1" in out
    assert "cold-recovery" in out
