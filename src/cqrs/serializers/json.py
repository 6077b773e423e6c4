"""JSON, by orjson when it is installed, else by the standard library; both write the same.

UUID and Decimal become text, date and time ISO 8601, timedelta seconds, enum members their values, sets and
tuples lists, bytes the text that they are in UTF-8, NaN and infinities ``null``. A dataclass has its field
names in camelCase, as ``cqrs.DCEvent.to_dict`` writes them; whatever has ``to_dict`` decides itself.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import json
import math
import pathlib
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from cqrs._conversion import encode_fields
from cqrs.exceptions import SerializationError
from cqrs.serializers.protocol import payload_of

__all__ = ["JsonSerializer", "default_serializer"]

_TEXT = (uuid.UUID, decimal.Decimal, pathlib.PurePath)
_LISTS = (tuple, set, frozenset, collections.deque)


class JsonSerializer:
    """Makes JSON, in UTF-8 and without blanks.

    >>> import decimal
    >>> JsonSerializer()({"total": decimal.Decimal("9.90")})
    b'{"total":"9.90"}'
    """

    content_type = "application/json"

    def __call__(self, message: Any, /) -> bytes:
        """Return the JSON of a payload; of a ``Message``, that of its payload.

        Raises:
            SerializationError: it holds something that has no form in JSON.
        """
        payload = payload_of(message)
        try:
            fast = _fast_dumps()
            if fast is not None:
                try:
                    return fast(plain_object(payload) if hasattr(payload, "to_dict") else payload)
                except TypeError:
                    # orjson knows no integers beyond 64 bits and no time with a zone; and it says less.
                    pass
            text = json.dumps(_plain(payload, ()), ensure_ascii=False, separators=(",", ":"))
            return text.encode()
        except SerializationError:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise SerializationError(f"{type(payload).__qualname__} has no form in JSON: {error}") from error


default_serializer = JsonSerializer()
"""Makes JSON of a payload, or of that of a ``Message``: ``default_serializer(message) -> bytes``."""


@functools.cache
def _fast_dumps() -> Callable[[Any], bytes] | None:
    try:
        import orjson
    except ImportError:
        return None
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
    return functools.partial(orjson.dumps, default=plain_object, option=options)


def plain_object(value: Any) -> Any:
    """Return what stands for an object that JSON does not know; its parts may again be such objects.

    Raises:
        TypeError: nothing does.
        ValueError: bytes that are no text.
    """
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict) and not _is(value, type):
        return to_dict()
    if isinstance(value, enum.Enum):
        return value.value
    if hasattr(value, "__dataclass_fields__") and not _is(value, type):
        return encode_fields(value)
    if _is(value, Mapping):
        return dict(value)
    if _is(value, _LISTS):
        return list(value)
    if isinstance(value, _TEXT):
        return str(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray)):
        return _text(value)
    return _foreign(value, type(value))


def _is(value: object, kinds: type[Any] | tuple[type[Any], ...]) -> bool:
    return isinstance(value, kinds)  # without narrowing to containers of unknown types


def _text(value: bytes | bytearray) -> str:
    # As pydantic writes and reads bytes; dataclasses have had theirs in base64 before they come here.
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            "bytes that are not UTF-8 text have no form in JSON; declare them as pydantic.Base64Bytes, or "
            "encode them"
        ) from error


def _foreign(value: Any, kind: Any) -> Any:
    """Read objects of other libraries; none of them is imported for it."""
    if callable(getattr(value, "model_dump", None)):
        return value.model_dump(mode="json")
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and hasattr(kind, "__struct_fields__"):
        return msgspec.to_builtins(value)
    if hasattr(kind, "__attrs_attrs__"):
        return {attribute.name: getattr(value, attribute.name) for attribute in kind.__attrs_attrs__}
    raise TypeError(f"a {kind.__module__}.{kind.__qualname__} is unknown to it; give it a method to_dict()")


def _plain(value: Any, path: tuple[str, ...]) -> Any:
    """Return ``value`` in the terms of JSON; errors name the place."""
    if value is None or type(value) in (str, bool, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if _is(value, dict):
        return {_key(key, path): _plain(item, (*path, str(key))) for key, item in value.items()}
    if _is(value, list):
        return [_plain(item, (*path, str(index))) for index, item in enumerate(value)]
    if isinstance(value, (str, int)) and not isinstance(value, enum.Enum):
        return value
    try:
        following = plain_object(value)
    except (TypeError, ValueError) as error:
        place = ".".join(path) or "the payload"
        raise SerializationError(f"{place} has no form in JSON: {error}") from error
    return _plain(following, path)


def _key(key: Any, path: tuple[str, ...]) -> str:
    plain = _plain(key, (*path, repr(key)))
    if isinstance(plain, str):
        return plain
    if plain is None or isinstance(plain, (bool, int, float)):
        return json.dumps(plain)
    raise SerializationError(f"{'.'.join(path) or 'the payload'}: {key!r} cannot be a key in JSON")
