"""The type arguments of a generic base are found through everything that may stand in between."""

from __future__ import annotations

from typing import Any, ForwardRef, Generic, TypeVar

import pydantic
import pytest
from typing_extensions import TypeVar as TypeVarWithDefault

from cqrs.generic_utils import get_generic_args_for_origin, substitute, type_variables

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")
D = TypeVarWithDefault("D", default=float)


class Handler(Generic[A, B]): ...


class Streaming(Generic[A, B]): ...


class Mixin: ...


class Direct(Handler[int, str]): ...


class Indirect(Direct): ...


class WithMixin(Mixin, Handler[int, str]): ...


class MixinOverDirect(Mixin, Direct): ...


class Base(Handler[A, B], Generic[A, B]): ...


class Swapped(Handler[A, B], Generic[B, A]): ...


class Half(Handler[int, T]): ...


class ListHalf(Half[list[T]], Generic[T]): ...


class OptionalHalf(Handler[T, T | None], Generic[T]): ...


class Implicit(Handler[dict[A, B], B]): ...


class TwoBases(Mixin, Base[int, str], Generic[T]): ...


class Unfilled(Base[A, B]): ...


class Bare(Handler): ...  # type: ignore[type-arg]


class BareBase(Base): ...  # type: ignore[type-arg]


class Stream(Streaming[int, bytes]): ...


class Quoted(Handler["Mixin", "NotDefined"]): ...  # type: ignore[name-defined]


class Defaulted(Handler[int, D], Generic[D]): ...


class DefaultedConcrete(Defaulted): ...  # type: ignore[type-arg]


class Model(pydantic.BaseModel, Handler[int, T], Generic[T]):
    value: T


class ConcreteModel(Model[str]): ...


@pytest.mark.parametrize(
    ("klass", "arguments"),
    [
        (Direct, (int, str)),
        (Indirect, (int, str)),
        (WithMixin, (int, str)),
        (MixinOverDirect, (int, str)),
        (Base[int, str], (int, str)),
        (Base[int, list[str]], (int, list[str])),
        (Swapped[str, int], (int, str)),
        (Half[str], (int, str)),
        (ListHalf[str], (int, list[str])),
        (OptionalHalf[int], (int, int | None)),
        (Implicit[int, str], (dict[int, str], str)),
        (TwoBases[Any], (int, str)),
        (Handler[int, str], (int, str)),
        (Stream, (int, bytes)),
        (DefaultedConcrete, (int, float)),
        (Model[str], (int, str)),
        (ConcreteModel, (int, str)),
        (Handler, None),
        (Bare, None),
        (Mixin, None),
        ("Handler", None),
        (None, None),
    ],
)
def test_arguments(klass: Any, arguments: tuple[Any, ...] | None) -> None:
    assert get_generic_args_for_origin(klass, (Handler, Streaming)) == arguments


def test_only_the_origins_asked_for_count() -> None:
    assert get_generic_args_for_origin(Stream, (Handler,)) is None
    assert get_generic_args_for_origin(Direct, ()) is None


@pytest.mark.parametrize("klass", [Base, BareBase, Unfilled])
def test_a_variable_that_nothing_fills_stays_visible(klass: Any) -> None:
    arguments = get_generic_args_for_origin(klass, (Handler,))

    assert arguments is not None
    assert all(isinstance(argument, TypeVar) for argument in arguments)


def test_too_few_arguments_are_no_answer() -> None:
    assert get_generic_args_for_origin(Direct, (Handler,), min_args=2) == (int, str)
    assert get_generic_args_for_origin(Direct, (Handler,), min_args=3) is None


def test_quoted_names_are_resolved_where_they_are_defined() -> None:
    assert get_generic_args_for_origin(Quoted, (Handler,)) == (Mixin, ForwardRef("NotDefined"))


def test_the_first_declared_base_decides() -> None:
    class Both(Streaming[int, bytes], Handler[int, str]): ...

    assert get_generic_args_for_origin(Both, (Handler, Streaming)) == (int, bytes)
    assert get_generic_args_for_origin(Both, (Handler,)) == (int, str)


def test_substitute_reaches_into_annotations() -> None:
    assert substitute(dict[str, list[A]], {A: int}) == dict[str, list[int]]
    assert substitute(A | None, {A: int}) == int | None
    assert substitute(B, {A: int}) is B
    assert substitute(int, {A: str}) is int


def test_type_variables_in_the_order_of_subscription() -> None:
    assert type_variables(Swapped) == (B, A)
    assert type_variables(Direct) == ()
    assert type_variables(Model) == (T,)
