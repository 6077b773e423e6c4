from __future__ import annotations

from abc import ABCMeta
from typing import Any

import pytest

from cqrs.adapters.circuit_breaker._exclusions import Exclusions


class Special(ABCMeta):
    pass


class NotFound(Exception, metaclass=Special):
    pass


def test_nothing_is_excluded_by_default() -> None:
    assert not Exclusions(None).cover(ValueError())


def test_a_class_with_its_own_metaclass_excludes_only_its_instances() -> None:
    exclusions = Exclusions([NotFound])
    assert exclusions.cover(NotFound())
    assert not exclusions.cover(ConnectionError())


def test_subclasses_are_excluded() -> None:
    assert Exclusions([OSError]).cover(ConnectionError())


def test_predicates_are_asked() -> None:
    exclusions = Exclusions([lambda error: "404" in str(error)])
    assert exclusions.cover(RuntimeError("404"))
    assert not exclusions.cover(RuntimeError("500"))


def test_a_predicate_that_raises_excludes_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    exclusions = Exclusions([lambda error: error.status == 404, ValueError])  # type: ignore[attr-defined]
    assert not exclusions.cover(RuntimeError())
    assert exclusions.cover(ValueError())
    assert "predicate" in caplog.text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (ValueError, "list of exception classes"),
        (3, "list of exception classes"),
        ([int], "no exception class"),
        ([ValueError("instance")], "neither an exception class nor a predicate"),
        (["ValueError"], "neither"),
    ],
)
def test_what_cannot_exclude_is_refused(given: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Exclusions(given)
