from __future__ import annotations

from cqrs.demo.fleet.facts import Facts, Process, all_probes
from cqrs.testing import FakeClock
from tests.unit.demo.fleet.support import call, switch


def opened_at(*changes: tuple[float, str]) -> Process:
    process = Process(1)
    for at, state in changes:
        switch(process, at, state)
    return process


def test_probes_are_the_calls_between_opening_and_closing() -> None:
    process = opened_at((1.0, "open"), (2.0, "probing"), (2.1, "open"), (3.0, "ramping"), (3.5, "closed"))
    call(process, 0.5, 0.1)
    probes = [call(process, 2.05, 0.1), call(process, 2.9, 0.1)]
    call(process, 3.2, 0.1)  # the ramp's traffic is let back in
    call(process, 4.0, 0.1)
    assert process.probes() == probes


def test_a_call_that_was_admitted_before_the_opening_is_no_probe() -> None:
    process = opened_at((1.0, "open"))
    early = call(process, 1.005, 0.1)
    early.received = 0.999
    assert process.probes() == []


def test_a_request_that_came_while_half_open_and_went_out_after_the_closing_is_no_probe() -> None:
    process = opened_at((1.0, "open"), (2.0, "closed"))
    late = call(process, 2.001, 0.1)
    late.received = 1.999
    assert process.probes() == []


def test_the_probes_of_all_are_in_the_order_of_their_starts() -> None:
    one, two = opened_at((1.0, "open")), opened_at((1.0, "open"))
    calls = [call(one, 3.0, 0.1), call(two, 2.0, 0.1)]
    assert all_probes([one, two]) == calls[::-1]


def test_a_process_is_alone_from_the_loss_of_the_store_until_it_is_back() -> None:
    process = Process(1)
    assert not process.alone
    process.degraded.append(1.0)
    assert process.alone
    process.recovered.append(2.0)
    assert not process.alone


def test_time_counts_from_the_beginning_and_processes_were_ready_before() -> None:
    clock = FakeClock()
    facts = Facts(clock)
    facts.processes += [Process(1, ready=1.0), Process(2)]
    clock.advance(3.0)
    facts.begin()
    clock.advance(0.5)
    assert facts.now() == 0.5
    assert [p.ready for p in facts.processes] == [-2.0, None]


def test_living_are_the_ready_and_not_killed_and_current_the_youngest_of_each_slot() -> None:
    facts = Facts(FakeClock())
    old, other, young = Process(2, ready=0.0, killed=1.0), Process(1, ready=0.0), Process(2)
    facts.processes += [old, other, young]
    assert facts.living() == [other]
    assert facts.current() == [other, young]
    young.ready = 2.0
    assert facts.living() == [other, young]


def test_a_mark_keeps_its_first_moment() -> None:
    clock = FakeClock()
    facts = Facts(clock)
    clock.advance(1.0)
    assert facts.mark("it") == 1.0
    clock.advance(1.0)
    assert facts.mark("it") == 1.0
