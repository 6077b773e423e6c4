from __future__ import annotations

import asyncio

from cqrs.demo.recorder import Answer, Recorder, Service, follow
from cqrs.demo.schedule import Kind
from cqrs.testing import FakeClock
from tests.unit.demo.support import HEALTHY, SLOW, Script


def test_time_starts_with_the_recorder() -> None:
    clock = FakeClock(5000.0)
    recorder = Recorder(clock)
    clock.advance(1.5)
    assert recorder.now() == 1.5


def test_a_request_belongs_to_the_phase_in_which_it_ended() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    sent = script.recorder.now()
    script.wait(0.5)
    script.recorder.enter(SLOW)
    script.recorder.finish(Service.WITH, Kind.PRICE, sent, Answer.PRIMARY)
    (done,) = script.recorder.done
    assert (done.phase, done.seconds, done.at) == (1, 0.5, 0.5)


def test_a_circuit_leaves_the_state_that_it_entered_before() -> None:
    script = Script()
    script.switch(Kind.PRICE, "open")
    script.switch(Kind.CATALOGUE, "open")
    script.switch(Kind.PRICE, "probing")
    assert [(s.kind, s.from_state, s.to_state) for s in script.recorder.switched] == [
        (Kind.PRICE, "closed", "open"),
        (Kind.CATALOGUE, "closed", "open"),
        (Kind.PRICE, "open", "probing"),
    ]


async def test_calls_are_traced_to_the_request_that_made_them() -> None:
    recorder = Recorder(FakeClock())

    async def request(kind: Kind | None) -> set[Kind]:
        trace = follow()
        await asyncio.sleep(0)
        if kind is not None:
            recorder.call(Service.WITH, kind)
        await asyncio.sleep(0)
        return trace.called

    traced = await asyncio.gather(request(Kind.PRICE), request(None), request(Kind.PAYMENT))
    assert traced == [{Kind.PRICE}, set(), {Kind.PAYMENT}]


def test_the_longest_delay_of_the_event_loop_is_kept() -> None:
    recorder = Recorder(FakeClock())
    for seconds in (0.01, 0.5, 0.02):
        recorder.note_lag(seconds)
    assert recorder.lag == 0.5
