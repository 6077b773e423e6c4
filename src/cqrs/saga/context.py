"""How contexts of a class are stored and read; found out once per class."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

from cqrs._conversion import camel_case
from cqrs.dispatcher.declarations import is_concrete
from cqrs.exceptions import ConfigurationTypeError, SagaContextError
from cqrs.saga.encoding import (
    MissingField,
    Unstorable,
    decode_dataclass,
    encode,
    encoder_of,
)
from cqrs.saga.models import SagaContext, unstorable
from cqrs.saga.snapshot import take_over
from cqrs.saga.storage.contexts import JsonReady

Encode: TypeAlias = Callable[[Any], Any]
Decode: TypeAlias = Callable[[Mapping[str, Any]], Any]

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class ContextCodec:
    """Stores and reads contexts of one class.

    Args:
        context_type: a dataclass, a pydantic model, or a class with ``to_dict`` (and ``from_dict``, without
            which a saga cannot be resumed).

    Raises:
        ConfigurationTypeError: ``context_type`` is none of these, or cannot be read back.
    """

    __slots__ = ("_context_type", "_decode", "_encode")

    def __init__(self, context_type: type[Any]) -> None:
        self._context_type = context_type
        self._encode: Encode
        self._decode: Decode | None
        own_writer = _is_own(context_type, "to_dict")
        if dataclasses.is_dataclass(context_type) and not own_writer:
            _check_fields(context_type)
            self._encode = encoder_of(context_type)
            self._decode = functools.partial(decode_dataclass, context_type)
        elif own_writer:
            self._encode = _encode_by_method
            self._decode = None
        elif callable(getattr(context_type, "model_dump", None)):
            self._encode = _encode_model
            self._decode = context_type.model_validate
        else:
            raise ConfigurationTypeError(
                f"{context_type.__qualname__} cannot be the context of a saga: it must be a dataclass, a "
                "pydantic model, or a class with to_dict() and from_dict(data)"
            )
        if _is_own(context_type, "from_dict"):
            self._decode = _reader_by_method(context_type)
        elif dataclasses.is_dataclass(context_type) and not own_writer:
            _check_readable(context_type)

    def encode(self, context: Any) -> dict[str, Any]:
        """Return ``context`` JSON-ready.

        Raises:
            SagaContextError: a value has no JSON form; the message names the field.
        """
        try:
            return JsonReady(self._encode(context))
        except Unstorable as error:
            raise SagaContextError(unstorable(context.__class__, error)) from error
        except RecursionError as error:
            raise SagaContextError(
                f"{type(context).__qualname__} cannot be stored as JSON: it contains itself or nests too deep"
            ) from error

    def decode(self, saga_id: uuid.UUID, saga_name: str, data: Mapping[str, Any]) -> Any:
        """Return the context that was stored as ``data``.

        Raises:
            SagaContextError: it cannot be read; the message names the saga, and the field if it is known.
        """
        if self._decode is None:
            raise SagaContextError(
                f"saga {saga_id} ({saga_name}): its context cannot be read back, as "
                f"{self._context_type.__qualname__} has no from_dict(data)"
            )
        reader = ContextReader(self._context_type.__qualname__, self._decode)
        return reader.read(saga_id, saga_name, data)

    def reader(self) -> ContextReader:
        """Return what reads contexts of this class.

        Raises:
            ConfigurationTypeError: the class has no way to read what it wrote.
        """
        if self._decode is None:
            raise ConfigurationTypeError(
                f"{self._context_type.__qualname__} has no from_dict(data), so no saga with such a "
                "context can be recovered"
            )
        return ContextReader(self._context_type.__qualname__, self._decode)

    def read_into(self, context: Any, saga_id: uuid.UUID, saga_name: str, data: Mapping[str, Any]) -> None:
        """Give ``context`` the fields that were stored as ``data``; the object stays the same.

        Raises:
            SagaContextError: they cannot be read.
        """
        take_over(context, self.decode(saga_id, saga_name, data))


class ContextReader(NamedTuple):
    """Builds contexts from what is stored.

    Attributes:
        name: what error messages call it.
        build: makes a context from a dictionary.
    """

    name: str
    build: Decode

    def read(self, saga_id: uuid.UUID, saga_name: str, data: Mapping[str, Any]) -> Any:
        """Return the context that was stored as ``data``.

        Raises:
            SagaContextError: it cannot be read; the message names the saga, and the field if it is known.
        """
        where = f"saga {saga_id} ({saga_name})"
        try:
            return self.build(data)
        except MissingField as error:
            raise SagaContextError(
                f"{where}: the stored context has no value for the field {error} of {self.name}; give the "
                "field a default, so that sagas that were begun before it was added can go on"
            ) from error
        except Exception as error:
            raise SagaContextError(
                f"{where}: the stored context cannot be read as {self.name}: {error}"
            ) from error


@functools.lru_cache(maxsize=1024)
def codec_of(context_type: type[Any]) -> ContextCodec:
    """Return the codec of a class of contexts.

    Raises:
        ConfigurationTypeError: ``context_type`` cannot be stored.
    """
    return ContextCodec(context_type)


def context_reader(builder: Any) -> ContextReader:
    """Return what builds contexts: with a class of contexts, or one with ``from_dict``, or any function.

    Raises:
        ConfigurationTypeError: ``builder`` is none of these.
    """
    if not isinstance(builder, type):
        if not callable(builder):
            raise ConfigurationTypeError(
                f"context_builder must be the class of the context, or a function that makes it, "
                f"not {builder!r}"
            )
        return ContextReader(getattr(builder, "__qualname__", repr(builder)), builder)
    if _is_own(builder, "from_dict"):
        return ContextReader(builder.__qualname__, _reader_by_method(builder))
    return codec_of(builder).reader()


def _is_own(context_type: type[Any], name: str) -> bool:
    """Tell whether a class brings a method of its own, rather than that of ``SagaContext``."""
    method = getattr(context_type, name, None)
    inherited = getattr(SagaContext, name)
    return callable(method) and getattr(method, "__func__", method) is not getattr(
        inherited, "__func__", inherited
    )


def _check_fields(context_type: Any) -> None:
    """Refuse fields that would be lost: for want of ``@dataclass``, or as two are stored under one name."""
    names = {camel_case(field.name): field.name for field in dataclasses.fields(context_type)}
    for field in dataclasses.fields(context_type):
        other = names[camel_case(field.name)]
        if other != field.name:
            raise ConfigurationTypeError(
                f"{context_type.__qualname__}: the fields {field.name} and {other} would both be stored as "
                f"{camel_case(field.name)}; rename one"
            )
    if "__dataclass_fields__" in vars(context_type):
        return
    lost = [name for name in inspect.get_annotations(context_type) if not name.startswith("__")]
    if lost:
        raise ConfigurationTypeError(
            f"{context_type.__qualname__} is no dataclass itself, so its field {lost[0]} would be lost: put "
            "@dataclass above it"
        )


def _check_readable(context_type: Any) -> None:
    """Refuse what could be stored, but not be read: that would be noticed only after a crash.

    Raises:
        ConfigurationTypeError: naming the annotation, or the parameter.
    """
    seen: set[Any] = set()
    waiting: list[Any] = [context_type]
    while waiting:
        annotation = waiting.pop()
        waiting += typing.get_args(annotation)
        kind = typing.get_origin(annotation) or annotation
        if not isinstance(kind, type) or not dataclasses.is_dataclass(kind) or kind in seen:
            continue
        seen.add(kind)
        try:
            waiting += typing.get_type_hints(kind).values()
        except NameError as error:
            raise ConfigurationTypeError(
                f"{context_type.__qualname__} could be stored, but not be read: an annotation of "
                f"{kind.__qualname__} cannot be evaluated ({error}); define or import that name in module "
                f"{kind.__module__} at run time, not only under TYPE_CHECKING or inside a function"
            ) from error
    if getattr(context_type, "__parameters__", ()):
        for name, annotation in typing.get_type_hints(context_type).items():
            if not is_concrete(annotation):
                raise ConfigurationTypeError(
                    f"{context_type.__qualname__}.{name} could be stored, but not be read: its type is open; "
                    f"derive a dataclass that says it: class MyContext({context_type.__qualname__}[...])"
                )
    fields = {field.name for field in dataclasses.fields(context_type) if field.init}
    for name, parameter in inspect.signature(context_type).parameters.items():
        is_needed = parameter.default is parameter.empty and parameter.kind not in _VARIADIC
        if is_needed and name not in fields:
            raise ConfigurationTypeError(
                f"{context_type.__qualname__} could be stored, but not be read: its constructor needs "
                f"{name}, which is no field; give that a default, or the class a from_dict(data)"
            )


def _encode_by_method(context: Any) -> Any:
    encoded = encode(context.to_dict())
    if type(encoded) is not dict:
        raise Unstorable(f"what to_dict() returned, a {type(encoded).__qualname__}: it must be a dictionary")
    return cast("Any", encoded)


def _encode_model(context: Any) -> Any:
    return encode(context.model_dump(mode="json", by_alias=True, round_trip=True))


def _reader_by_method(context_type: Any) -> Decode:
    from_dict = context_type.from_dict
    try:
        parameters = inspect.signature(from_dict).parameters.values()
    except (TypeError, ValueError):
        return cast("Decode", from_dict)
    if any(
        parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
        for parameter in parameters
    ):
        return cast("Decode", from_dict)
    return lambda data: from_dict(**data)
