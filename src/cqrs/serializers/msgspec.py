"""JSON and MessagePack by msgspec.

Needs ``pip install "holdfast[msgspec]"``.
"""

from __future__ import annotations

from typing import Any, Literal

from cqrs.circuit_breaker import validation
from cqrs.exceptions import SerializationError
from cqrs.serializers.json import default_serializer, plain_object
from cqrs.serializers.protocol import payload_of

__all__ = ["MsgspecSerializer"]


class MsgspecSerializer:
    """Makes JSON or MessagePack; structs as msgspec writes them, everything else as in ``JsonSerializer``.

    In MessagePack, bytes are bytes.

    Args:
        format: ``"json"`` (default) or ``"msgpack"``.

    Raises:
        ImportError: msgspec is not installed.
        PolicyError: another format.
    """

    def __init__(self, format: Literal["json", "msgpack"] = "json") -> None:
        validation.choice("format", format, ("json", "msgpack"))
        try:
            import msgspec
        except ImportError as error:
            raise ImportError('MsgspecSerializer needs pip install "holdfast[msgspec]"') from error
        self._struct = msgspec.Struct
        self._json = msgspec.json.Encoder()
        self._msgpack = msgspec.msgpack.Encoder(enc_hook=plain_object)
        self._is_json = format == "json"
        self.content_type = "application/json" if self._is_json else "application/msgpack"

    def __call__(self, message: Any, /) -> bytes:
        """Return the bytes of a payload; of a ``Message``, those of its payload.

        Raises:
            SerializationError: it holds something that has no form.
        """
        payload = payload_of(message)
        is_struct = isinstance(payload, self._struct)
        if self._is_json and not is_struct:
            return default_serializer(payload)
        try:
            if self._is_json:
                return self._json.encode(payload)
            own = not is_struct and hasattr(payload, "to_dict")
            return self._msgpack.encode(plain_object(payload) if own else payload)
        except Exception as error:
            kind = type(payload).__qualname__
            raise SerializationError(f"{kind} has no form in {self.content_type}: {error}") from error
