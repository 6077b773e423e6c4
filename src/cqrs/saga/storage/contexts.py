"""Contexts as they are stored: plain JSON, of which nobody else holds a part."""

from __future__ import annotations

import json
import uuid
from typing import Any, cast

from cqrs.exceptions import SagaContextError

__all__ = ["JsonReady", "copy_context", "encode_context", "take_context"]

_PLAIN: frozenset[object] = frozenset({str, int, bool, type(None)})
_NAMES = frozenset({str})
_to_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_to_text = json.JSONEncoder(ensure_ascii=False).encode


class JsonReady(dict[str, Any]):
    """A context that was just encoded: plain JSON, of which nobody else holds a part."""

    __slots__ = ()


def _encode(value: Any) -> str:
    encoded = _to_ascii(value)
    if "\\ud" in encoded:
        # Half of a pair of surrogates is no character: some databases refuse it, UTF-8 does.
        _to_text(value).encode("utf-8")
    return encoded


_DICTIONARIES: tuple[object, ...] = (dict, JsonReady)


def encode_context(saga_id: uuid.UUID, context: Any) -> str:
    """Return a context as JSON in ASCII.

    Raises:
        SagaContextError: a value is none of JSON; the field and the type are named.
    """
    if not isinstance(context, dict):
        kind = type(context).__name__
        raise SagaContextError(
            f"the context of saga {saga_id} cannot be stored: it must be a dictionary, not {kind}"
        )
    fields = cast("dict[str, Any]", context)
    try:
        return _encode(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise SagaContextError(
            f"the context of saga {saga_id} cannot be stored: {_why(fields, error)}"
        ) from error


def take_context(saga_id: uuid.UUID, context: dict[str, Any]) -> dict[str, Any]:
    """Return a context to be kept: itself, if it was encoded to be kept, else a copy.

    Raises:
        SagaContextError: a value is none of JSON.
    """
    return context if context.__class__ is JsonReady else copy_context(saga_id, context)


def copy_context(saga_id: uuid.UUID, context: dict[str, Any]) -> dict[str, Any]:
    """Return what a context would be after it was stored as JSON and read.

    Raises:
        SagaContextError: a value is none of JSON.
    """
    if context.__class__ in _DICTIONARIES and _NAMES.issuperset(map(type, context)):
        for value in context.values():
            kind: object = value.__class__
            # A float minus itself is 0, save for infinity and NaN, which JSON does not have.
            if kind not in _PLAIN and (kind is not float or value - value != 0.0):
                break
        else:
            return dict(context)
    copied: dict[str, Any] = json.loads(encode_context(saga_id, context))
    return copied


def _why(context: dict[str, Any], error: Exception) -> str:
    for field, value in context.items():
        try:
            _encode({field: value})
        except (TypeError, ValueError, RecursionError) as cause:
            return f"field {field!r} ({type(value).__name__}): {cause}"
    return str(error)
