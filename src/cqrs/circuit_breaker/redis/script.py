"""The script that decides inside the server, and how a request to it is written.

``fleet.lua`` beside this file is the script. A server knows it by the sha1 of its text once it has run there.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources
from typing import cast

from cqrs.circuit_breaker.fleet.transport import Message


@cache
def source() -> str:
    """Return the text of the script."""
    return resources.files("cqrs.circuit_breaker.redis").joinpath("fleet.lua").read_text("utf-8")


@cache
def sha1() -> str:
    """Return the name by which a server knows the script: the sha1 of its text, in hex."""
    return hashlib.sha1(source().encode(), usedforsecurity=False).hexdigest()


def encode(request: Message) -> bytes:
    """Return a request as the script reads it.

    A name with a lone surrogate is sent with ``?`` instead: the server's JSON would refuse the request.

    >>> encode({"node": "a", "ops": []}), encode({"name": chr(0xD800)})
    (b'{"node":"a","ops":[]}', b'{"name":"?"}')
    """
    text = json.dumps(request, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def decode(reply: bytes | str) -> Message:
    """Return a reply of the script, or a published message.

    Raises:
        ValueError: it is not a JSON object.
    """
    found = json.loads(reply)
    if not isinstance(found, dict):
        raise ValueError(f"not a JSON object: {str(found)[:40]}")
    return cast(Message, found)
