"""Requests on their way out: the headers that every request has, and the parts of multipart forms."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from cqrs._version import __version__
from cqrs.http.messages import HTTPRequest
from cqrs.http.models import FormValue
from cqrs.http.transports.addresses import Origin
from cqrs.http.transports.bodies import ENCODINGS

USER_AGENT = f"holdfast/{__version__}"


def headers_of(request: HTTPRequest, origin: Origin) -> dict[str, str]:
    """Return the headers to send, secrets included: its own, and what is usual.

    Raises:
        HTTPRequestError: a header cannot be sent.
    """
    given = request.wire_headers if request.headers else {}
    names = {name.lower() for name in given}
    sent = {} if "host" in names else {"Host": origin.netloc}
    if "accept" not in names:
        sent["Accept"] = "*/*"
    if "accept-encoding" not in names:
        sent["Accept-Encoding"] = ENCODINGS
    if "user-agent" not in names:
        sent["User-Agent"] = USER_AGENT
    if origin.authorization is not None and "authorization" not in names:
        sent["Authorization"] = origin.authorization
    sent.update(given)
    return sent


def content_of(request: HTTPRequest) -> bytes:
    """Return the body as bytes."""
    body = request.body
    return body.encode() if isinstance(body, str) else body


class Part(NamedTuple):
    """A part of a multipart form.

    Attributes:
        name: of the member.
        filename: ``None`` for a plain member.
        content: bytes, or a binary file object.
        media_type: ``None``: by the file's name.
    """

    name: str
    filename: str | None
    content: Any
    media_type: str | None


def parts_of(request: HTTPRequest) -> Iterator[Part]:
    """Yield the parts of the multipart form that a request with attachments is."""
    for name, given in request.attachments.items():
        for each in cast("Sequence[Any]", given) if isinstance(given, list) else (given,):
            if isinstance(each, FormValue):
                yield Part(name, None, each.encode(), None)
                continue
            filename, content, media_type = _file(name, each)
            yield Part(name, filename, content.encode() if isinstance(content, str) else content, media_type)


def media_type_of(part: Part) -> str:
    """Return the media type of a file, by its name when nobody said."""
    return part.media_type or mimetypes.guess_type(part.filename or "")[0] or "application/octet-stream"


def _file(name: str, given: Any) -> tuple[str, Any, str | None]:
    if isinstance(given, tuple):
        parts = cast("Sequence[Any]", given)
        return parts[0], parts[1], parts[2] if len(parts) > 2 else None
    known: Any = getattr(given, "name", None)
    return (os.path.basename(known) if isinstance(known, str) and known else name), given, None
