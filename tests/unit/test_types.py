"""The marker that tells type checkers what answers a request."""

from __future__ import annotations

import types
from typing import Any, Generic, TypeVar, get_args, get_origin

from cqrs.generic_utils import get_generic_args_for_origin
from cqrs.types import Returns

T = TypeVar("T")


class Query(Returns[T], Generic[T]): ...


class CountUsers(Query[int]): ...


def test_an_alias_tells_class_and_argument() -> None:
    alias: Any = Returns[int]

    assert isinstance(alias, types.GenericAlias)
    assert (get_origin(alias), get_args(alias)) == (Returns, (int,))


def test_generic_intermediates_keep_the_response() -> None:
    assert issubclass(CountUsers, Query)
    assert get_generic_args_for_origin(CountUsers, (Returns,)) == (int,)


def test_an_alias_builds_instances_of_the_class_itself() -> None:
    assert type(Query[int]()) is Query
