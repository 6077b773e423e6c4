"""Where the fields of a request go: path, headers, query string, body, attachments.

Each takes what ``pydantic.Field`` takes, the default first; ``alias`` is the name on the wire.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo

from cqrs.exceptions import ConfigurationError

PATH, HEADER, QUERY, BODY, ATTACHMENT = "path", "header", "querystring", "body", "attachment"

_KEY = "holdfast_location"


def PathInfoField(default: Any = ..., **options: Any) -> Any:
    """A value of the path template; percent-encoded, so that it stays in its segment."""
    return _field(PATH, default, options)


def HeaderField(default: Any = ..., **options: Any) -> Any:
    """A header: ``HeaderField(alias="X-Request-Id")``; without an alias the field's name with dashes."""
    return _field(HEADER, default, options)


def QueryStringField(default: Any = ..., **options: Any) -> Any:
    """A key of the query string; a list repeats the key."""
    return _field(QUERY, default, options)


def PostBodyField(default: Any = ..., **options: Any) -> Any:
    """A member of the body, which is JSON, or a form when the ``Content-Type`` header says so."""
    return _field(BODY, default, options)


def AttachmentField(default: Any = ..., **options: Any) -> Any:
    """A file of a multipart form: bytes, text, a binary file object, or ``(name, content[, media type])``."""
    return _field(ATTACHMENT, default, options)


def location_of(info: FieldInfo) -> str | None:
    """Return where a field goes, ``None`` when nobody said."""
    extra: Any = info.json_schema_extra
    location: Any = None if extra is None or callable(extra) else extra.get(_KEY)
    return location if isinstance(location, str) else None


def _field(location: str, default: Any, options: dict[str, Any]) -> Any:
    extra: Any = options.pop("json_schema_extra", None) or {}
    if callable(extra):
        raise ConfigurationError("json_schema_extra of a field of a request must be a dict")
    return Field(default, json_schema_extra={**extra, _KEY: location}, **options)  # pyright: ignore[reportUnknownArgumentType]
