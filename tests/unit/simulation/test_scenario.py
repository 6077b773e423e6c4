from __future__ import annotations

from collections.abc import Callable

import pytest

from cqrs.exceptions import ConfigurationTypeError, PolicyError
from cqrs.simulation import Capacity, NodeFault, Phase, ResponseTime, Scenario


def test_response_times_meet_their_median_and_p99() -> None:
    time = ResponseTime(0.02, p99=0.5)
    assert time.draw(0.0) == pytest.approx(0.02)
    assert time.draw(2.3263478740408408) == pytest.approx(0.5)


def test_without_a_p99_every_call_takes_the_median() -> None:
    assert {ResponseTime(0.3).draw(z) for z in (-3.0, 0.0, 3.0)} == {0.3}


def test_phases_follow_each_other() -> None:
    scenario = Scenario([Phase("a", 3.0), Phase("b", 4.0), Phase("c", 5.0)])
    assert scenario.starts == (0.0, 3.0, 7.0)
    assert scenario.duration == 12.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResponseTime(0.0), "ResponseTime.median=0.0"),
        (lambda: ResponseTime(0.2, p99=0.1), "at least the median"),
        (lambda: Phase("a", -1.0), "Phase.duration=-1.0"),
        (lambda: Phase("a", 1.0, error_rate=1.1), "Phase.error_rate=1.1"),
        (lambda: Phase("a", 1.0, load=0.0), "Phase.load=0.0"),
        (lambda: Capacity(0.0), "Capacity.calls_per_second=0.0"),
        (lambda: Capacity(1.0, cold=2.0), "at most calls_per_second"),
        (lambda: Capacity(1.0, cool_down=0.0), "Capacity.cool_down=0.0"),
        (lambda: Capacity(1.0, max_queue=0), "Capacity.max_queue=0"),
        (lambda: Capacity(1.0, warm_up_calls=-1), "Capacity.warm_up_calls=-1"),
        (lambda: NodeFault(0.0), "NodeFault.share=0.0"),
        (lambda: NodeFault(0.5, error_rate=2), "NodeFault.error_rate=2"),
        (lambda: Scenario([]), "number of phases=0"),
        (lambda: Scenario([Phase("a", 1.0)], calls_per_second=float("inf")), "Scenario.calls_per_second=inf"),
        (lambda: Scenario([Phase("a", 1.0)], timeout=0.0), "Scenario.timeout=0.0"),
        (lambda: Scenario([Phase("a", 1.0)], deadline=-2.0), "Scenario.deadline=-2.0"),
    ],
)
def test_a_figure_out_of_range_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scenario(["outage"]),
        lambda: Phase("a", 1.0, response_time=0.1),
        lambda: Phase("a", 1.0, healthy=1),
        lambda: Phase("a", 1.0, capacity=3),
        lambda: Phase("a", 1.0, node_fault=0.1),
        lambda: Phase("a", 1.0, error=ConnectionError()),
        lambda: Phase("a", 1.0, error=str),
        lambda: Phase("a", 1.0, error=KeyboardInterrupt),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationTypeError, match="must be"):
        make()
