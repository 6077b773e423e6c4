from __future__ import annotations

import pytest

from cqrs._svg import LEFT, RIGHT, WIDTH, Plot, element


def test_attributes_and_text_are_escaped() -> None:
    assert element("text", "<&>", class_='"x"') == '<text class="&quot;x&quot;">&lt;&amp;&gt;</text>'


def test_time_runs_from_edge_to_edge() -> None:
    plot = Plot(10.0, 100)
    assert plot.x(0) == LEFT
    assert plot.x(10) == WIDTH - RIGHT
    assert plot.x(99) == WIDTH - RIGHT


@pytest.mark.parametrize(("value", "y"), [(0.0, 100), (2.0, 50), (4.0, 0), (9.0, 0), (-1.0, 100)])
def test_values_stay_inside_the_plot(value: float, y: float) -> None:
    assert Plot(10.0, 100, high=4.0).y(value) == pytest.approx(y)


def test_logarithmic_decades_are_equally_far_apart() -> None:
    plot = Plot(10.0, 90, low=0.001, high=1.0, logarithmic=True)
    assert [round(plot.y(value)) for value in (0.001, 0.01, 0.1, 1.0, 0.0)] == [90, 60, 30, 0, 90]


def test_a_missing_value_interrupts_a_line() -> None:
    line = Plot(10.0, 100).line([(0.0, 0.0), (1.0, 1.0), (2.0, None), (3.0, 1.0)], "series")
    assert line.count("M") == 2
    assert line.count("L") == 1


@pytest.mark.parametrize("seconds", [4.0, 24.0, 120.0, 5000.0])
def test_the_time_axis_is_never_crowded(seconds: float) -> None:
    assert 3 <= Plot(seconds, 100).time_axis().count("<text") <= 16
