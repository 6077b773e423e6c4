"""Dataclasses to JSON-ready dictionaries and back.

Written forms: field names in camelCase, UUID and Decimal as text, date and time in ISO 8601, timedelta in
seconds, bytes in base64, enum members by value, sets and tuples as lists. Reading accepts those forms as well
as field names as they are and values that already have the right type; unknown keys are ignored.
"""

from __future__ import annotations

import base64
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cqrs.exceptions import ConfigurationError
from cqrs.generic_utils import substitute, type_variables

T = TypeVar("T")
Reader = Callable[[Any], Any]

_ARRAYS: dict[Any, Callable[[Any], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
}
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_ARRAY_VALUES = (list, tuple, set, frozenset, collections.deque)


# ---------------------------------------------------------------------------------------------- writing


@functools.lru_cache(maxsize=4096)
def camel_case(name: str) -> str:
    """Return a field name in camelCase.

    >>> camel_case("event_id"), camel_case("_private_name"), camel_case("topic")
    ('eventId', '_privateName', 'topic')
    """
    stripped = name.lstrip("_")
    first, *rest = stripped.split("_")
    return name[: len(name) - len(stripped)] + first + "".join(word[:1].upper() + word[1:] for word in rest)


def encode_fields(instance: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance, JSON-ready, under camelCase names."""
    return {
        camel_case(field.name): encode(getattr(instance, field.name))
        for field in dataclasses.fields(instance)
    }


def encode(value: Any) -> Any:
    """Return ``value`` JSON-ready; a value of a kind unknown here is returned as it is."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode_fields(value)
    if isinstance(value, Mapping):
        return {encode(key): encode(item) for key, item in _items(value)}
    if isinstance(value, _ARRAY_VALUES):
        return [encode(item) for item in typing.cast("list[Any]", value)]
    if isinstance(value, (uuid.UUID, decimal.Decimal, pathlib.PurePath)):
        return str(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    model_dump = getattr(value, "model_dump", None)  # a pydantic model
    return model_dump(mode="json") if model_dump is not None else value


# ---------------------------------------------------------------------------------------------- reading


def decode(target: type[T], data: Mapping[str, Any]) -> T:
    """Build the dataclass ``target`` (possibly parameterised) from a dictionary.

    Raises:
        ConfigurationError: an annotation of the class cannot be evaluated.
        TypeError: a field without default is missing.
        ValueError: a value cannot be read as the type of its field; the message names the field.
    """
    return typing.cast("T", _read_dataclass(target, data))


def _read_dataclass(target: Any, data: Mapping[str, Any]) -> Any:
    origin = typing.get_origin(target) or target
    arguments: dict[str, Any] = {}
    for name, alias, annotation, reader in _plan(target):
        key = name if name in data else alias
        if key not in data:
            continue
        try:
            arguments[name] = reader(data[key])
        except (TypeError, ValueError, ArithmeticError) as error:
            kind = type(data[key]).__name__
            where = f"{origin.__qualname__}.{name}"
            raise ValueError(f"{where}: cannot read a {kind} as {_name(annotation)} ({error})") from error
    return origin(**arguments)


@functools.lru_cache(maxsize=4096)
def _plan(target: Any) -> tuple[tuple[str, str, Any, Reader], ...]:
    """Return name, camelCase name, type and reader of each field that the constructor takes."""
    origin = typing.get_origin(target) or target
    variables = dict(zip(type_variables(origin), typing.get_args(target), strict=False))
    hints = _hints(origin)
    inherited = _inherited_variables(origin)
    plan: list[tuple[str, str, Any, Reader]] = []
    for field in dataclasses.fields(origin):
        if not field.init:
            continue
        annotation = substitute(substitute(hints[field.name], inherited), variables)
        plan.append((field.name, camel_case(field.name), annotation, reader_of(annotation)))
    return tuple(plan)


def _hints(klass: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(klass, include_extras=False)
    except NameError as error:
        raise ConfigurationError(
            f"cannot evaluate the annotations of {klass.__qualname__}: {error}; define or import that name "
            f"in module {klass.__module__!r} at run time (not only under TYPE_CHECKING or inside a function)"
        ) from error


def _inherited_variables(klass: type[Any]) -> dict[Any, Any]:
    """Return what the type variables of all generic bases of ``klass`` stand for."""
    found: dict[Any, Any] = {}
    for base in vars(klass).get("__orig_bases__", klass.__bases__):
        origin = typing.get_origin(base) or base
        if not isinstance(origin, type) or origin is typing.Generic:
            continue
        own = dict(zip(type_variables(origin), typing.get_args(base), strict=False))
        for variable, argument in _inherited_variables(origin).items():
            found.setdefault(variable, substitute(argument, own))
        for variable, argument in own.items():
            found.setdefault(variable, argument)
    return found


def reader_of(annotation: Any) -> Reader:
    """Return the function that reads a JSON value as ``annotation``; unknown types are left as they are."""
    annotation = _bare(annotation)
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union_reader(arguments)
    kind = origin or annotation
    if kind is tuple:
        return _tuple_reader(arguments)
    if kind in _ARRAYS:
        return _array_reader(_ARRAYS[kind], arguments[0] if arguments else Any)
    if kind in _MAPPINGS:
        return _mapping_reader(*(arguments or (Any, Any)))
    if isinstance(kind, type):
        return _class_reader(kind, annotation)
    return _unchanged


def _bare(annotation: Any) -> Any:
    """Strip NewType, aliases declared with ``type``, and Annotated."""
    while True:
        if hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__") and type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        else:
            return annotation


def _class_reader(kind: type[Any], annotation: Any) -> Reader:
    if dataclasses.is_dataclass(kind):
        return functools.partial(_read_nested, kind, annotation)
    if issubclass(kind, enum.Enum):
        return functools.partial(_read_enum, kind)
    if typing.is_typeddict(kind):
        return functools.partial(_read_typed_dict, kind)
    if hasattr(kind, "model_validate"):  # a pydantic model
        return typing.cast("Reader", annotation.model_validate)
    for known, reader in _SCALARS:
        if issubclass(kind, known):
            return functools.partial(reader, kind)
    return _unchanged


def _unchanged(value: Any) -> Any:
    return value


def _read_nested(kind: type[Any], annotation: Any, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a dictionary for {kind.__qualname__}")
    return _read_dataclass(annotation, typing.cast("Mapping[str, Any]", value))


def _read_enum(kind: type[enum.Enum], value: Any) -> Any:
    if isinstance(value, kind):
        return value
    for member in kind:
        if member.value == value or encode(member.value) == value:
            return member
    return kind(value)


def _read_typed_dict(kind: type[Any], value: Any) -> Any:
    readers = {name: reader_of(annotation) for name, annotation in _hints(kind).items()}
    return {key: readers.get(key, _unchanged)(item) for key, item in _items(value)}


def _items(value: Any) -> typing.Iterable[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise TypeError("expected a dictionary")
    return typing.cast("Any", value).items()  # type: ignore[no-any-return]  # any mapping will do


def _elements(value: Any) -> typing.Iterable[Any]:
    if not isinstance(value, _ARRAY_VALUES):
        raise TypeError("expected a list")
    return typing.cast("list[Any]", value)


def _array_reader(build: Callable[[Any], Any], argument: Any) -> Reader:
    read = reader_of(argument)
    return lambda value: build([read(item) for item in _elements(value)])


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if not arguments:
        return lambda value: tuple(_elements(value))
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _array_reader(tuple, arguments[0])
    readers = [reader_of(argument) for argument in arguments]
    return lambda value: tuple(read(item) for read, item in zip(readers, _elements(value), strict=True))


def _mapping_reader(key_type: Any, value_type: Any) -> Reader:
    read_key, read_value = reader_of(key_type), reader_of(value_type)
    return lambda value: {read_key(key): read_value(item) for key, item in _items(value)}


def _union_reader(members: tuple[Any, ...]) -> Reader:
    """Take the first member, in the order of declaration, that accepts the value.

    ``UUID | str`` therefore reads text as a UUID where it can, and ``str | UUID`` leaves it as text.
    """
    readers = [(_accepts(member), reader_of(member)) for member in members if member is not type(None)]

    def read(value: Any) -> Any:
        if value is None:
            return None
        for accepts, reader in readers:
            if accepts(value):
                try:
                    return reader(value)
                except (TypeError, ValueError, ArithmeticError):
                    continue
        return value

    return read


def _accepts(member: Any) -> Callable[[Any], bool]:
    """Return the test that a value must pass before a member of a union tries to read it."""
    bare = _bare(member)
    kind: Any = typing.get_origin(bare) or bare
    if kind is typing.Literal:
        return lambda value: value in typing.get_args(bare)
    if not isinstance(kind, type):
        return lambda value: True
    klass = typing.cast("type[Any]", kind)
    if dataclasses.is_dataclass(kind):
        return lambda value: isinstance(value, klass) or _has_fields(bare, value)
    reader = _class_reader(klass, bare)
    if reader is _unchanged and kind not in _ARRAYS and kind not in _MAPPINGS and kind is not tuple:
        allowed = (int, float) if klass is float else klass
        return lambda value: isinstance(value, allowed)
    return lambda value: True


def _has_fields(target: Any, value: Any) -> bool:
    """Tell whether a dictionary has every field that ``target`` requires, and no unknown key."""
    if not isinstance(value, Mapping):
        return False
    keys = set(typing.cast("Mapping[str, Any]", value))
    names = {name: alias for name, alias, _, _ in _plan(target)}
    required = {
        field.name
        for field in dataclasses.fields(typing.get_origin(target) or target)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    }
    known = {*names, *names.values()}
    return keys <= known and all(name in keys or names[name] in keys for name in required)


def _read_text(kind: type[Any], value: Any) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise TypeError("expected text")
    return kind(value)


def _read_decimal(kind: type[Any], value: Any) -> Any:
    # Through ``str``: Decimal(0.1) is 0.1000000000000000055511151231257827…
    return value if isinstance(value, kind) else kind(str(value))


def _read_iso(kind: type[Any], value: Any) -> Any:
    return value if isinstance(value, kind) else kind.fromisoformat(value)


def _read_timedelta(kind: type[Any], value: Any) -> Any:
    return value if isinstance(value, kind) else kind(seconds=value)


def _read_bytes(kind: type[Any], value: Any) -> Any:
    return value if isinstance(value, kind) else kind(base64.b64decode(value, validate=True))


_SCALARS: tuple[tuple[type[Any], Callable[[type[Any], Any], Any]], ...] = (
    (uuid.UUID, _read_text),
    (decimal.Decimal, _read_decimal),
    (datetime.date, _read_iso),  # datetime too
    (datetime.time, _read_iso),
    (datetime.timedelta, _read_timedelta),
    (bytes, _read_bytes),
    (bytearray, _read_bytes),
    (pathlib.PurePath, _read_text),
)


def _name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
