from __future__ import annotations

import pytest

from cqrs.demo.figures import Figures, milliseconds, percent, percentile, slots
from cqrs.demo.recorder import Answer, Done, Service
from cqrs.demo.schedule import Kind


def done(answer: Answer = Answer.PRIMARY, sent: float = 0.0, seconds: float = 0.001) -> Done:
    return Done(Service.WITH, Kind.PRICE, sent, seconds, answer, 0)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, 1.0), (0.5, 50.0), (0.99, 99.0), (0.999, 100.0), (1.0, 100.0)]
)
def test_percentiles_are_values_that_occurred(share: float, expected: float) -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, share) == expected


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 0.99) is None


def test_every_request_is_counted_under_how_it_ended() -> None:
    ends = [Answer.PRIMARY] * 4 + [Answer.FALLBACK] * 3 + [Answer.REJECTED] * 2 + [Answer.FAILED]
    figures = Figures.of(done(answer) for answer in ends)
    assert (figures.primary, figures.fallback, figures.rejected, figures.failed) == (4, 3, 2, 1)
    assert (figures.answered, figures.by_fallback, figures.total) == (9, 5, 10)
    assert figures.answered_percent == pytest.approx(90.0)


def test_figures_of_nothing_have_no_share_and_no_times() -> None:
    figures = Figures.of([])
    assert (figures.answered_percent, figures.p50, figures.p99) == (None, None, None)


def test_requests_fall_into_the_slot_in_which_they_ended() -> None:
    first, last, late = done(sent=0.0), done(sent=0.4, seconds=3.5), done(sent=3.0, seconds=9.0)
    assert slots([first, last, late], 4.0, 4) == [[first], [], [], [last, late]]


@pytest.mark.parametrize(("value", "text"), [(99.999, "99.9 %"), (100.0, "100 %"), (0.0, "0 %"), (None, "–")])
def test_a_share_below_all_never_reads_as_all(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0004, "0.4 ms"), (0.25, "250 ms"), (2.0, "2.0 s"), (None, "–")]
)
def test_durations_are_written_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert milliseconds(seconds) == text
