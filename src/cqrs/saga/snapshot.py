"""Copies of a context, from which the very object can be set back."""

from __future__ import annotations

import copy
import functools
import inspect
import types
from typing import Any

from cqrs.exceptions import SagaContextError

_MISSING = object()


class Snapshot:
    """What all fields of an object are now: of plain, slotted and frozen classes and pydantic models.

    Args:
        subject: the object.

    Raises:
        SagaContextError: a field cannot be copied.
    """

    __slots__ = ("_attributes", "_slots")

    def __init__(self, subject: Any) -> None:
        slots = _filled_slots(subject)
        self._attributes, values = _copied(subject, getattr(subject, "__dict__", None), list(slots.values()))
        self._slots: dict[str, Any] = dict(zip(slots, values, strict=True))

    def restore(self, subject: Any) -> None:
        """Set all fields of ``subject`` back, as often as needed; the object stays the same."""
        attributes, values = _copied(subject, self._attributes, list(self._slots.values()))
        replace_fields(subject, attributes, dict(zip(self._slots, values, strict=True)))


def replace_fields(subject: Any, attributes: dict[str, Any] | None, slots: dict[str, Any]) -> None:
    """Give ``subject`` these fields and no others, past what its class says about setting them."""
    if attributes is not None:
        own: dict[str, Any] = subject.__dict__
        own.clear()
        own.update(attributes)
    for slot in _slots_of(subject.__class__):
        value = slots.get(slot.__name__, _MISSING)
        if value is not _MISSING:
            slot.__set__(subject, value)
        elif _is_filled(slot, subject):
            slot.__delete__(subject)


def take_over(subject: Any, other: Any) -> None:
    """Give ``subject`` the fields of ``other``, an object of the same class that nobody needs any more."""
    replace_fields(subject, getattr(other, "__dict__", None), _filled_slots(other))


def _copied(
    subject: Any, attributes: dict[str, Any] | None, slots: list[Any]
) -> tuple[dict[str, Any] | None, list[Any]]:
    memo: dict[int, Any] = {id(subject): subject}  # a field may lead back to the object
    try:
        # Together, so that what two fields share is shared afterwards.
        return copy.deepcopy((attributes, slots), memo)
    except Exception as error:
        raise SagaContextError(
            f"{type(subject).__qualname__} cannot be copied ({error}), which is needed before a step "
            "that has a fallback; keep data alone in the context"
        ) from error


def _filled_slots(subject: Any) -> dict[str, Any]:
    slots = [slot for slot in _slots_of(subject.__class__) if _is_filled(slot, subject)]
    return {slot.__name__: slot.__get__(subject) for slot in slots}


def _is_filled(slot: types.MemberDescriptorType, subject: Any) -> bool:
    try:
        slot.__get__(subject)
    except AttributeError:
        return False
    return True


@functools.lru_cache(maxsize=1024)
def _slots_of(klass: Any) -> tuple[types.MemberDescriptorType, ...]:
    slots = [
        attribute
        for base in inspect.getmro(klass)
        for attribute in vars(base).values()
        if isinstance(attribute, types.MemberDescriptorType)
    ]
    return tuple(slots)
