from __future__ import annotations

import io

import pytest
from rich.console import Console

from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.live import FleetPicture, LiveFleetView
from cqrs.demo.fleet.view import PlainFleetView, SilentFleetView
from tests.unit.demo.fleet.support import PLAN, a_good_run


def screen(facts: Facts, width: int, height: int) -> list[str]:
    """What a terminal of this size shows, without the colours."""
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    console.print(FleetPicture(facts, PLAN), end="")
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 45)])
def test_the_picture_fits_and_has_a_row_for_every_process(width: int, height: int) -> None:
    lines = screen(a_good_run(), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.startswith("process")]
    assert [row[:5] for row in rows[:3]] == [
        ["process", "1", "100", "●", "closed"],
        ["process", "2", "103", "●", "closed"],
        ["process", "3", "102", "●", "closed"],
    ]
    assert rows[0][5:] == ["shared", "65", "40", "25", "20", "3"]
    assert len(rows) == 6
    assert "lost 0, again 1" in "".join(lines)
    assert lines[-1].endswith("a detail")


def test_the_strips_tell_open_killed_probes_and_a_dead_redis() -> None:
    lines = screen(a_good_run(), 80, 24)
    strips = {line[:15].strip(): line[15:] for line in lines[9:]}
    assert "█" in strips["process 1"]
    assert "✗" in strips["process 2"]
    assert "✗" not in strips["process 1"] + strips["process 3"]
    assert "◆" in strips["process 3"]
    assert " dead" in strips["Redis"]
    assert " failin" in strips["upstream"]


def test_a_lost_store_and_a_killed_process_are_told() -> None:
    facts = a_good_run()
    facts.store.append((19.0, False))
    facts.processes[0].recovered.clear()
    facts.processes[2].killed = 19.0
    text = "\n".join(screen(facts, 80, 24))
    assert "Redis is dead: every process decides for itself" in text
    assert "alone" in text
    assert "✗ killed" in text


def test_the_picture_can_be_drawn_before_anything_has_happened() -> None:
    assert screen(Facts(), 80, 24)


def test_a_low_terminal_gets_no_more_lines_than_it_has() -> None:
    assert len(screen(a_good_run(), 80, 10)) <= 10


def test_the_live_view_gives_the_screen_back() -> None:
    out = io.StringIO()
    view = LiveFleetView(Console(file=out, width=80, height=24, force_terminal=True))
    view.start(a_good_run(), PLAN)
    view.refresh()
    view.stop()
    assert out.getvalue().count("\x1b[?1049h") == out.getvalue().count("\x1b[?1049l") == 1


def test_plain_lines_are_the_story_once() -> None:
    out = io.StringIO()
    view = PlainFleetView(out)
    view.start(a_good_run(), PLAN)
    view.refresh()
    view.refresh()
    view.stop()
    assert out.getvalue().splitlines() == [
        "42 price queries a second, spread over the processes: process 1 has pid 100, process 2 has pid 101, "
        "process 3 has pid 102, process 2 has pid 103.",
        "  0.0 s  ── 3 processes",
        "  2.2 s   ✓ All opened <together>",
        " 20.0 s     a detail",
    ]


def test_silence() -> None:
    view = SilentFleetView()
    view.start(Facts(), PLAN)
    view.refresh()
    view.stop()
