from __future__ import annotations

import pytest

from cqrs.demo.figures import Figures
from cqrs.demo.recorder import Answer, Service, Switched
from cqrs.demo.schedule import Kind, Phase
from cqrs.demo.story import sentence, sentence_of, transition
from tests.unit.demo.support import DEAD, HEALTHY, RECOVERED, SLOW, Script


@pytest.mark.parametrize(
    ("phase", "counts", "text"),
    [
        (HEALTHY, (5, 0, 0, 0), "Upstream healthy: primaries answered 5 requests."),
        (SLOW, (1, 2, 3, 0), "Upstream slow: primaries answered 1, fallbacks 5 (3 calls spared)."),
        (DEAD, (0, 2, 0, 0), "Upstream killed: fallbacks answered 2 requests."),
        (DEAD, (0, 0, 0, 4), "Upstream killed: 4 FAILED."),
        (RECOVERED, (0, 0, 0, 0), "Upstream back: no request yet."),
    ],
)
def test_a_phase_is_told_in_one_sentence(phase: Phase, counts: tuple[int, int, int, int], text: str) -> None:
    assert sentence(phase, Figures(*counts, p50=None, p99=None)) == text


def test_the_longest_sentence_of_a_usual_run_fits_a_small_terminal() -> None:
    figures = Figures(999, 100, 899, 0, None, None)
    assert all(len(sentence(phase, figures)) <= 80 for phase in (SLOW, DEAD, RECOVERED))


def test_the_story_is_about_the_guarded_service_and_its_phase() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    script.request(Service.WITH, Kind.PRICE, Answer.PRIMARY)
    script.request(Service.WITHOUT, Kind.PRICE, Answer.FAILED)
    script.recorder.enter(SLOW)
    script.request(Service.WITH, Kind.PRICE, Answer.REJECTED)
    assert sentence_of(script.recorder, 0) == "Upstream healthy: primaries answered 1 request."
    assert sentence_of(script.recorder, 1) == "Upstream slow: fallbacks answered 1 request (1 calls spared)."


def test_a_change_of_a_circuit_says_why() -> None:
    switch = Switched(Kind.PRICE, 1.0, "closed", "open", "8 of 16 calls were slow")
    assert transition(switch) == "price query: closed → open (8 of 16 calls were slow)"
