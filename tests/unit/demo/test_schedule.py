from __future__ import annotations

import pytest

from cqrs.demo.schedule import DEFAULT_SECONDS, LABELS, RATES, Kind, Mode, Timing


@pytest.mark.parametrize("seconds", [4.0, 6.0, 24.0, 120.0])
def test_the_phases_fill_the_run(seconds: float) -> None:
    assert sum(phase.seconds for phase in Timing(seconds).phases()) == pytest.approx(seconds)


def test_the_upstream_lives_through_every_mode_and_ends_healthy() -> None:
    modes = [phase.mode for phase in Timing().phases()]
    assert modes == [Mode.HEALTHY, Mode.SLOW, Mode.FAILING, Mode.DEAD, Mode.HEALTHY]


@pytest.mark.parametrize("seconds", [4.0, 6.0, 24.0, 120.0])
def test_slow_answers_are_told_as_slow_and_some_exceed_the_timeout(seconds: float) -> None:
    timing = Timing(seconds)
    low, high = timing.slow_answers
    assert timing.slow_call < low < timing.client_timeout < high


@pytest.mark.parametrize("seconds", [4.0, 6.0, 24.0, 120.0])
def test_the_window_sees_enough_requests_of_the_rarest_kind(seconds: float) -> None:
    assert Timing(seconds).window * min(RATES.values()) >= 4


@pytest.mark.parametrize("seconds", [3.9, 0.0, -1.0, float("nan")])
def test_a_run_too_short_for_its_phases_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        Timing(seconds)


def test_the_default_stays_under_forty_seconds() -> None:
    assert DEFAULT_SECONDS <= 30


def test_every_kind_has_a_name_for_people() -> None:
    assert set(LABELS) == set(Kind)
