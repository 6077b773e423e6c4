"""From the values of a format (dictionaries, lists, text, numbers) to a model."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

import pydantic

from cqrs._conversion import decode, reader_of
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError

Builder = Callable[[Any], Any]


def builder_of(model: Any) -> Builder:
    """Return what builds ``model``: its ``from_dict``, or what its kind asks for.

    Raises:
        ConfigurationTypeError: nothing knows how to.
    """
    origin = typing.get_origin(model) or model
    if isinstance(model, str) or model is None:
        raise ConfigurationTypeError(f"a deserializer needs a type as its model, not {model!r}")
    if callable(getattr(model, "from_dict", None)):
        return lambda value: model.from_dict(**_dictionary(value))
    if dataclasses.is_dataclass(origin) and not hasattr(origin, "__pydantic_validator__"):
        return lambda value: decode(model, _dictionary(value))
    if hasattr(origin, "__struct_fields__") or hasattr(origin, "__attrs_attrs__"):
        return _by_msgspec(model)
    if typing.is_typeddict(origin):
        # Before Python 3.12, pydantic refuses those of ``typing``.
        return lambda value: _typed_dictionary(model, value)
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(model)
    except (pydantic.PydanticUserError, pydantic.PydanticSchemaGenerationError, TypeError) as error:
        raise ConfigurationTypeError(
            f"{model!r} cannot be built from what was read; give it a classmethod from_dict(**fields)"
        ) from error
    return adapter.validate_python


def _by_msgspec(model: Any) -> Builder:
    try:
        import msgspec
    except ImportError as error:
        raise ConfigurationError(
            f'{model!r} is built by msgspec, which needs pip install "holdfast[msgspec]"; or give it a '
            "classmethod from_dict(**fields)"
        ) from error
    return lambda value: msgspec.convert(value, model)


def _dictionary(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected the fields of an object, found a {type(value).__name__}")
    return typing.cast("Mapping[str, Any]", value)


def _typed_dictionary(model: Any, value: Any) -> Any:
    missing = model.__required_keys__ - _dictionary(value).keys()
    if missing:
        raise ValueError(f"missing: {', '.join(sorted(missing))}")
    return reader_of(model)(value)


def name_of(model: Any) -> str:
    """Return what a model is called in errors."""
    return model.__qualname__ if isinstance(model, type) else str(model)
