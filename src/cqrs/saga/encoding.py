"""Contexts to JSON-ready values, by rules that no database bends, and dataclasses back from them."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import pathlib
import typing
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from cqrs import _conversion

T = TypeVar("T")

PLAIN = frozenset({str, int, bool, type(None)})
"""Types whose values are JSON-ready as they are; a ``float`` need not be finite."""

_ARRAYS = (list, tuple, set, frozenset, deque)


class Unstorable(Exception):
    """A value that has no JSON form.

    Attributes:
        path: how to get there: field names and ``[keys]``, outermost first.
        problem: what it is.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []
        self.problem = problem


class MissingField(Exception):
    """Stored data has no value for a field without default."""


def encode_dataclass(instance: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance, JSON-ready, under camelCase names.

    Raises:
        Unstorable: a value has no JSON form.
    """
    return encoder_of(instance.__class__)(instance)


@functools.lru_cache(maxsize=4096)
def encoder_of(klass: Any) -> Callable[[Any], dict[str, Any]]:
    """Return a function that does what ``encode_dataclass`` does, for instances of one dataclass.

    It is compiled, as a loop over the fields would take three times as long.
    """
    names = [field.name for field in dataclasses.fields(klass)]
    items = ", ".join(
        f"{_conversion.camel_case(name)!r}: "
        f"value if (value := instance.{name}).__class__ in plain else inside({name!r}, value)"
        for name in names
    )
    namespace: dict[str, Any] = {"plain": PLAIN, "inside": _inside}
    exec(f"def encode(instance): return {{{items}}}", namespace)
    encode: Callable[[Any], dict[str, Any]] = namespace["encode"]
    return encode


def encode(value: Any) -> Any:
    """Return ``value`` JSON-ready, as ``cqrs._conversion.encode`` does, but refuse what has no JSON form.

    Raises:
        Unstorable: a value of an unknown kind, a float that is not finite, a key that is not text.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unstorable(f"{value!r} (JSON has no such number)")
        return float(value)
    if isinstance(value, int):
        return int(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode_dataclass(value)
    if isinstance(value, Mapping):
        return _encode_mapping(cast("Any", value))
    if isinstance(value, _ARRAYS):
        return [_inside(f"[{place}]", item) for place, item in enumerate(cast("list[Any]", value))]
    return _encode_other(value)


def _encode_other(value: Any) -> Any:
    if isinstance(value, uuid.UUID | decimal.Decimal | pathlib.PurePath):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if callable(getattr(value.__class__, "model_dump", None)):  # a pydantic model
        return encode(value.model_dump(mode="json"))
    raise Unstorable(f"an object of type {type(value).__qualname__}")


def _encode_mapping(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    for key, item in mapping.items():
        text = key if type(key) is str else _encode_key(key)
        if text in encoded:
            raise Unstorable(f"a dictionary in which two keys become {text!r}")
        encoded[text] = item if type(item) in PLAIN else _inside(f"[{key!r}]", item)
    return encoded


def _encode_key(key: Any) -> str:
    encoded = encode(key)
    if type(encoded) is int:  # as ``json`` does; a bool would come back as "True"
        return str(encoded)
    if type(encoded) is not str:
        raise Unstorable(f"a dictionary key of type {type(key).__qualname__}")
    return encoded


def _inside(place: str, value: Any) -> Any:
    try:
        return encode(value)
    except Unstorable as error:
        error.path.insert(0, place)
        raise


def decode_dataclass(target: type[T], data: Mapping[str, Any]) -> T:
    """Build a dataclass from what ``encode_dataclass`` returned; unknown keys are ignored.

    Fields that its constructor does not take are set afterwards.

    Raises:
        MissingField: there is no value for a field without default.
        ValueError: a value cannot be read as the type of its field.
    """
    later: list[dataclasses.Field[Any]] = []
    for field in dataclasses.fields(cast("Any", target)):
        if field.name in data or _conversion.camel_case(field.name) in data:
            if not field.init:
                later.append(field)
        elif field.init and field.default is field.default_factory is dataclasses.MISSING:
            raise MissingField(field.name)
    instance = _conversion.decode(target, data)
    if later:
        hints = typing.get_type_hints(target)
        for field in later:
            key = field.name if field.name in data else _conversion.camel_case(field.name)
            value = _conversion.reader_of(hints[field.name])(data[key])
            object.__setattr__(instance, field.name, value)  # the class may be frozen
    return instance
