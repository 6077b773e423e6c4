"""Every field of the circuit breaker policy is explained, with its true default."""

from __future__ import annotations

import dataclasses

import pytest

import cqrs.circuit_breaker as engine
from tests.repository.pages import ROOT, table_rows

PAGE = ROOT / "docs" / "circuit-breaker.md"
FIELDS = {field.name: field for field in dataclasses.fields(engine.CircuitBreakerPolicy) if field.init}


def documented(name: str) -> list[str]:
    """Return the cells (unit, default, legal values, advice) of the row of a field."""
    for first, *rest in table_rows(PAGE):
        if first == f"`{name}`":
            return rest
    pytest.fail(f"{PAGE.name} has no table row for `{name}`")


@pytest.mark.parametrize("name", FIELDS)
def test_field_has_unit_default_legal_range_and_advice(name: str) -> None:
    cells = documented(name)
    assert len(cells) == 4
    assert all(cells)


@pytest.mark.parametrize("name", FIELDS)
def test_documented_default_is_the_real_one(name: str) -> None:
    stated = eval(documented(name)[1].strip("`"), vars(engine).copy())
    assert stated == getattr(engine.CircuitBreakerPolicy(), name)
