"""Contexts are stored as JSON in ASCII; copies share nothing."""

from __future__ import annotations

import enum
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.exceptions import SagaContextError
from cqrs.saga.storage.contexts import copy_context, encode_context

SAGA = uuid.UUID(int=7)
TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_a_copy_is_what_would_be_read(context: dict[str, Any]) -> None:
    encoded = encode_context(SAGA, context)
    assert encoded.isascii()
    assert copy_context(SAGA, context) == json.loads(encoded) == context


def test_a_copy_shares_nothing() -> None:
    context: dict[str, Any] = {"items": [{"a": [1]}]}
    copied = copy_context(SAGA, context)
    context["items"][0]["a"].append(2)
    assert copied == {"items": [{"a": [1]}]}


class Colour(enum.StrEnum):
    RED = "red"


class Amount(int):
    pass


def test_kinds_of_text_and_numbers_become_plain() -> None:
    copied = copy_context(SAGA, {"colour": Colour.RED, "amount": Amount(3)})
    assert copied == {"colour": "red", "amount": 3}
    assert {type(value) for value in copied.values()} == {str, int}


@pytest.mark.parametrize("store", [encode_context, copy_context])
@pytest.mark.parametrize(
    ("value", "kind"),
    [(SAGA, "UUID"), (b"x", "bytes"), ({1, 2}, "set"), (float("nan"), "float"), (1j, "complex")],
)
def test_what_json_does_not_have_is_refused_by_field_and_type(store: Any, value: Any, kind: str) -> None:
    with pytest.raises(SagaContextError) as caught:
        store(SAGA, {"fine": 1, "wrong": value})
    assert f"context of saga {SAGA} cannot be stored: field 'wrong' ({kind})" in str(caught.value)


def test_a_context_that_contains_itself_is_refused() -> None:
    context: dict[str, Any] = {}
    context["me"] = context
    with pytest.raises(SagaContextError, match="field 'me'"):
        encode_context(SAGA, context)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(SagaContextError, match="field 'text'"):
        encode_context(SAGA, {"whole": "\U0001f600", "text": "\ud83d"})
    assert json.loads(encode_context(SAGA, {"whole": "\U0001f600 \\ud83d"})) == {
        "whole": "\U0001f600 \\ud83d"
    }
