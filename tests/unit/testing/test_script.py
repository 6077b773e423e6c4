"""Script: a dependency that plays back what the test wrote down."""

from __future__ import annotations

import inspect
import threading

import pytest

from cqrs.testing import Script


class Down(Exception):
    pass


def test_outcomes_are_played_in_order() -> None:
    script = Script(["a", Down, Down("b"), None])
    assert script.call() == "a"
    with pytest.raises(Down):
        script.call()
    with pytest.raises(Down, match="b"):
        script()
    assert script() is None
    assert script.remaining == 0


async def test_one_script_serves_all_four_kinds_of_calls() -> None:
    script = Script[object]([1, 2, [3, 4], (5, 6), Down, [7, Down]])
    assert script.call() == 1
    assert await script.acall() == 2
    assert list(script.stream()) == [3, 4]
    assert [item async for item in script.astream()] == [5, 6]
    with pytest.raises(Down):
        await script.acall()
    items = script.stream()
    assert next(items) == 7
    with pytest.raises(Down):
        next(items)


async def test_a_stream_of_one_outcome_yields_or_raises_it() -> None:
    script = Script(["only", Down, "text stays whole"])
    assert list(script.stream()) == ["only"]
    with pytest.raises(Down):
        await anext(script.astream())
    assert list(script.stream()) == ["text stays whole"]


def test_the_faces_have_the_kind_that_they_say() -> None:
    script = Script[int]([])
    assert not inspect.iscoroutinefunction(script.call)
    assert inspect.iscoroutinefunction(script.acall)
    assert inspect.isgeneratorfunction(script.stream)
    assert inspect.isasyncgenfunction(script.astream)


def test_calls_are_remembered() -> None:
    script = Script([1, Down])
    script.call("order", currency="EUR")
    with pytest.raises(Down):
        script.call()
    assert script.calls == [(("order",), {"currency": "EUR"}), ((), {})]


def test_a_stream_counts_as_called_at_its_first_item() -> None:
    script = Script([[1]])
    items = script.stream()
    assert script.calls == []
    next(items)
    assert len(script.calls) == 1


async def test_one_call_too_many_says_so() -> None:
    script = Script([1])
    script.call()
    with pytest.raises(AssertionError, match="only 1 outcomes"):
        script.call()
    with pytest.raises(AssertionError, match="once more"):
        await script.acall()


def test_threads_share_a_script_without_playing_an_outcome_twice() -> None:
    script, played = Script(range(800)), list[int]()

    def play() -> None:
        for _ in range(100):
            played.append(script.call())

    threads = [threading.Thread(target=play) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(played) == list(range(800))
