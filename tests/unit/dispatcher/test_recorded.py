"""Each event is delivered once, however long its handler lives."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.dispatcher.recorded import clear_events, discard_events, take_events


class Recorder:
    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> Any:
        return self.recorded

    def clear_events(self) -> None:
        self.recorded.clear()


class Copies(Recorder):
    @property
    def events(self) -> Any:
        return self.recorded.copy()


class Tuples(Recorder):
    @property
    def events(self) -> Any:
        return tuple(self.recorded)


@pytest.mark.parametrize("kind", [Recorder, Copies, Tuples])
def test_what_was_taken_is_not_taken_again(kind: type[Recorder]) -> None:
    handler = kind()
    handler.recorded.append("a")
    assert take_events(handler) == ("a",)
    assert take_events(handler) == ()
    handler.recorded += ["b", "c"]
    assert take_events(handler) == ("b", "c")
    assert take_events(handler) == ()


@pytest.mark.parametrize("kind", [Recorder, Copies, Tuples])
def test_a_new_list_is_taken_as_a_whole(kind: type[Recorder]) -> None:
    handler = kind()
    handler.recorded = [object(), object()]
    take_events(handler)
    handler.recorded = new = [object(), object()]
    assert take_events(handler) == tuple(new)


def test_the_same_event_object_recorded_again_is_a_new_event() -> None:
    handler = Recorder()
    event = object()
    handler.recorded.append(event)
    assert take_events(handler) == (event,)
    handler.recorded.append(event)
    assert take_events(handler) == (event,)


def test_the_same_event_object_recorded_after_clearing_is_a_new_event() -> None:
    handler = Recorder()
    event = object()
    for _ in range(3):
        handler.recorded.append(event)
        assert take_events(handler) == (event,)
        clear_events(handler)


def test_clearing_that_does_nothing_repeats_nothing() -> None:
    class Keeps(Recorder):
        def clear_events(self) -> None:
            pass

    handler = Keeps()
    handler.recorded.append("a")
    assert take_events(handler) == ("a",)
    clear_events(handler)
    assert take_events(handler) == ()


@pytest.mark.parametrize("nothing", [None, (), [], ""])
def test_no_events_are_no_events(nothing: Any) -> None:
    handler = Recorder()
    handler.recorded = nothing
    assert take_events(handler) == ()


def test_a_handler_without_instance_dictionary_is_read_as_it_is() -> None:
    class Slotted:
        __slots__ = ()

        @property
        def events(self) -> Any:
            return ["a"]

    assert take_events(Slotted()) == ("a",)


def test_discarded_events_are_not_taken_later() -> None:
    handler = Recorder()
    handler.recorded.append("of the failure")
    discard_events([handler])
    handler.recorded.append("of the success")
    assert take_events(handler) == ("of the success",)


def test_events_that_cannot_be_read_do_not_hide_the_handlers_own_error() -> None:
    class Broken(Recorder):
        @property
        def events(self) -> Any:
            raise RuntimeError("no events")

    discard_events([Broken()])
