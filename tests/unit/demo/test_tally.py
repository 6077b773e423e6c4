from __future__ import annotations

import math
from dataclasses import replace

from cqrs.demo.figures import Figures
from cqrs.demo.recorder import Answer, Service
from cqrs.demo.schedule import Kind
from cqrs.demo.tally import Tally
from tests.unit.demo.support import DEAD, Script, a_good_run


def without_times(figures: Figures) -> Figures:
    return replace(figures, p50=None, p99=None)


def test_counting_as_it_happens_gives_what_counting_at_the_end_gives() -> None:
    script = a_good_run()
    tally = Tally(script.recorder)
    tally.update()
    script.request(Service.WITH, Kind.PRICE, Answer.FAILED, 0.3)
    for _ in range(2):
        tally.update()
    summary = script.summary()
    for service, expected in summary.services.items():
        assert tally.counts(service) == without_times(expected.figures)
        assert tally.times(service) == (expected.figures.p50, expected.figures.p99)
        assert tally.calls_in_trouble[service] == expected.calls_in_trouble
        assert sum(tally.calls[service, kind] for kind in Kind) == expected.calls
    for index, phase in enumerate(summary.phases):
        assert tally.counts(Service.WITH, phase=index) == without_times(phase.figures[Service.WITH])
    for circuit in summary.circuits:
        assert tally.counts(Service.WITH, circuit.kind) == without_times(circuit.figures)


def test_a_stretch_of_time_has_the_requests_that_ended_in_it() -> None:
    script = Script()
    script.recorder.enter(DEAD)
    for _ in range(4):
        script.request(Service.WITH, Kind.PRICE, Answer.FALLBACK, 0.5)
    script.request(Service.WITHOUT, Kind.PRICE, Answer.FALLBACK)
    script.request(Service.WITH, Kind.PAYMENT, Answer.REJECTED)
    tally = Tally(script.recorder)
    assert tally.between(Service.WITH, 1.0, 2.0, Kind.PRICE).fallback == 2
    assert tally.between(Service.WITH, 1.0, math.inf).total == 4
    assert tally.between(Service.WITHOUT, 0.0, 1.0).total == 0
