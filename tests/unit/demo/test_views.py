from __future__ import annotations

import io

import pytest
from rich.console import Console

from cqrs.demo.live import LiveView, Picture
from cqrs.demo.recorder import Answer, Service
from cqrs.demo.schedule import Kind, Timing
from cqrs.demo.view import PlainView, Scene
from tests.unit.demo.support import DEAD, HEALTHY, SLOW, Script, a_good_run


def scene(script: Script, state: str = "closed") -> Scene:
    return Scene(script.recorder, Timing(4.0), lambda: dict.fromkeys(Kind, state))


def plain(script: Script) -> list[str]:
    out = io.StringIO()
    view = PlainView(out)
    view.start(scene(script))
    view.refresh()
    view.stop()
    return out.getvalue().splitlines()


def test_plain_lines_tell_phases_changes_and_the_last_second() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    script.request(Service.WITH, Kind.PRICE, Answer.PRIMARY, 0.5)
    script.recorder.enter(SLOW)
    script.wait(0.5)
    script.switch(Kind.PRICE, "open", "8 of 16 calls were slow")
    script.request(Service.WITHOUT, Kind.PRICE, Answer.FAILED)
    assert plain(script)[1:] == [
        "  0.0 s  ── HEALTHY: it answers",
        "  0.5 s  Upstream healthy: primaries answered 1 request.",
        "  0.5 s  ── SLOW: it dawdles",
        "  1.0 s    price query: closed → open (8 of 16 calls were slow)",
        "  1.0 s    with breaker: 1 primary, p99 500 ms | without breaker: 1 FAILED, p99 0.0 ms",
    ]


def test_plain_lines_are_written_once() -> None:
    out = io.StringIO()
    view = PlainView(out)
    script = a_good_run()
    view.start(scene(script))
    for _ in range(3):
        view.refresh()
    view.stop()
    lines = out.getvalue().splitlines()
    assert len(lines) == len(set(lines))
    assert sum("→ open" in line for line in lines) == len(Kind)
    assert sum("──" in line for line in lines) == 4


def screen(script: Script, width: int, height: int, state: str = "closed") -> list[str]:
    """What a terminal of this size shows, without the colours."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(Picture(scene(script, state)), height=height)
    return captured.get().rstrip("\n").split("\n")


def test_the_live_view_gives_the_screen_and_the_cursor_back() -> None:
    out = io.StringIO()
    view = LiveView(Console(file=out, width=80, height=24, force_terminal=True, legacy_windows=False))
    view.start(scene(a_good_run()))
    view.refresh()
    assert "\x1b[?1049h" in out.getvalue()
    view.stop()
    assert out.getvalue().rindex("\x1b[?1049l") > out.getvalue().rindex("\x1b[?1049h")
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (160, 45), (240, 60)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    lines = screen(a_good_run(), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_the_smallest_usual_terminal_shows_everything_in_full() -> None:
    text = "\n".join(screen(a_good_run(), 80, 24, "probing"))
    assert "…" not in text
    for expected in ("recommendations", "catalogue stream", "◆ probing", "without breaker", "Upstream back"):
        assert expected in text


def test_the_picture_before_the_first_answer() -> None:
    assert "Holdfast" in screen(Script(), 80, 24)[0]


def test_a_tall_terminal_also_shows_the_changes_of_the_circuits() -> None:
    text = "\n".join(screen(a_good_run(), 160, 45))
    assert "shipment event: ramping → closed (because)" in text
    assert "Upstream healthy" in text


def test_the_timeline_grows_from_left_to_right() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    script.wait(2.0)
    script.recorder.enter(DEAD)
    script.switch(Kind.PRICE, "open")
    script.request(Service.WITH, Kind.PRICE, Answer.REJECTED)
    script.wait(1.0)
    lines = screen(script, 95, 24)
    (upstream,) = [line for line in lines if line.startswith("upstream ")]
    (open_circuits,) = [line for line in lines if line.startswith("open circuits")]
    assert upstream[15:].rstrip().split() == ["healthy", "dead"]
    assert upstream.index("dead") - 15 == pytest.approx(40, abs=2)
    # One of five circuits open for the second half: a low bar, no bar before.
    assert set(open_circuits[15:54]) == {"·"}
    assert set(open_circuits[56:].rstrip()) == {"▂"}
