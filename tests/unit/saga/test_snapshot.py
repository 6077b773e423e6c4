"""Snapshots: any kind of context, set back in place, as often as needed."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import pydantic
import pytest

from cqrs.exceptions import SagaContextError
from cqrs.saga.snapshot import Snapshot


@dataclasses.dataclass
class Plain:
    items: list[int]
    more: list[int]


@dataclasses.dataclass(slots=True)
class Slotted:
    items: list[int]
    more: list[int]


@dataclasses.dataclass(frozen=True)
class Frozen:
    items: list[int]
    more: list[int]


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlotted:
    items: list[int]
    more: list[int]


class Model(pydantic.BaseModel):
    items: list[int]
    more: list[int]
    _note: list[int] = pydantic.PrivateAttr(default_factory=list)


KINDS: list[Any] = [Plain, Slotted, Frozen, FrozenSlotted, Model]


@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_undone_in_place_and_again(kind: Any) -> None:
    context = kind(items=[1], more=[])
    snapshot = Snapshot(context)
    for _ in range(2):
        context.items.append(2)
        object.__setattr__(context, "more", [3])
        snapshot.restore(context)
        assert (context.items, context.more) == ([1], [])


def test_attributes_that_were_added_or_removed() -> None:
    context = Plain([1], [])
    snapshot = Snapshot(context)
    context.extra = 1  # type: ignore[attr-defined]  # what is tested
    del context.items
    snapshot.restore(context)
    assert vars(context) == {"items": [1], "more": []}


def test_slots_that_were_filled_or_emptied() -> None:
    context = Slotted([1], [])
    del context.more
    snapshot = Snapshot(context)
    context.more = [1]
    del context.items
    snapshot.restore(context)
    assert context.items == [1]
    assert not hasattr(context, "more")


def test_what_two_fields_share_is_shared_afterwards() -> None:
    shared = [1]
    context = Plain(shared, shared)
    snapshot = Snapshot(context)
    context.more = []
    snapshot.restore(context)
    assert context.items is context.more


def test_a_field_that_leads_back_to_the_context() -> None:
    context = Plain([], [])
    context.items.append(context)  # type: ignore[arg-type]  # what is tested
    snapshot = Snapshot(context)
    context.items = []
    snapshot.restore(context)
    assert context.items[0] is context  # type: ignore[comparison-overlap]  # what is tested


def test_private_attributes_of_models() -> None:
    model = Model(items=[], more=[])
    snapshot = Snapshot(model)
    model._note.append(1)
    snapshot.restore(model)
    assert model._note == []


def test_what_cannot_be_copied_is_named() -> None:
    context = Plain([threading.Lock()], [])  # type: ignore[list-item]  # what is tested
    with pytest.raises(SagaContextError, match="Plain cannot be copied"):
        Snapshot(context)
