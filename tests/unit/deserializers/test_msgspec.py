"""Reading JSON and MessagePack by msgspec; what is written by its serializer is read in its tests."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import msgspec
import pytest

from cqrs.deserializers import DeserializeMsgspecError, MsgspecDeserializer
from cqrs.exceptions import PolicyError


class Paid(msgspec.Struct):
    total: int


@dataclasses.dataclass
class Line:
    unit_price: int


def test_structs_and_other_models_are_built() -> None:
    assert MsgspecDeserializer(Paid)(b'{"total":1}') == Paid(1)
    assert MsgspecDeserializer(Line)(b'{"unitPrice":1}') == Line(1)
    assert MsgspecDeserializer(Paid, "msgpack")(b"\x81\xa5total\x01") == Paid(1)
    assert MsgspecDeserializer(Paid)(None) is None


@pytest.mark.parametrize("model", [Paid, Line])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"total":"x"}', b"\xff"])
def test_what_cannot_be_read_is_told(model: Any, data: bytes) -> None:
    with pytest.raises(DeserializeMsgspecError, match=model.__name__):
        MsgspecDeserializer[Any](model)(data)

    assert isinstance(MsgspecDeserializer(model, errors="return")(data), DeserializeMsgspecError)


def test_another_format_is_refused() -> None:
    with pytest.raises(PolicyError, match="format"):
        MsgspecDeserializer(Paid, "yaml")  # type: ignore[arg-type]


def test_without_the_library_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)

    with pytest.raises(ImportError, match=r'pip install "holdfast\[msgspec\]"'):
        MsgspecDeserializer(Line)
