"""Declarations of sagas: what is refused, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

from cqrs.exceptions import SagaDefinitionError
from cqrs.saga.fallback import Fallback
from cqrs.saga.saga import Saga
from cqrs.saga.step import SagaStepHandler, SagaStepResult


@dataclasses.dataclass
class Order:
    order_id: str = "o-1"


class Other:
    pass


class Reserve(SagaStepHandler[Order, str]):
    async def act(self, context: Order) -> SagaStepResult[Order, str]:
        return self._generate_step_result("reserved")

    async def compensate(self, context: Order) -> None:
        return None


class Charge(Reserve):
    pass


class ForOther(SagaStepHandler[Other, str]):
    async def act(self, context: Other) -> SagaStepResult[Other, str]:
        return self._generate_step_result("x")

    async def compensate(self, context: Other) -> None:
        return None


def declare(steps: Any, **attributes: Any) -> type[Saga[Any]]:
    class Base(Saga[Order]):
        pass

    return type("Declared", (Base,), {"steps": steps, **attributes})


def test_a_saga_needs_no_arguments_and_is_named_after_its_class() -> None:
    class OrderSaga(Saga[Order]):
        steps = [Reserve, Fallback(Reserve, Charge), Reserve]

    assert OrderSaga().saga_name == "OrderSaga"


def test_a_name_for_the_storage_can_be_set_and_is_not_inherited() -> None:
    class First(Saga[Order]):
        steps = [Reserve]
        saga_name = "orders"

    class Second(First):
        pass

    assert (First.saga_name, Second.saga_name) == ("orders", "Second")


@pytest.mark.parametrize(
    ("steps", "part"),
    [
        ([], "at least one"),
        (None, "must be a list"),
        (Reserve, "must be a list"),
        ([Reserve()], r"steps\[0\] must be a SagaStepHandler class.*an instance of Reserve"),
        ([Reserve, Other], r"steps\[1\] must be a SagaStepHandler class.*not Other"),
        ([SagaStepHandler], "has no act and no compensate"),
        ([Reserve, ForOther], r"steps\[1\]: ForOther handles Other and cannot be bound.*Order"),
    ],
)
def test_wrong_steps_are_refused_when_the_class_is_defined(steps: Any, part: str) -> None:
    with pytest.raises(SagaDefinitionError, match=part):
        declare(steps)


def _with(name: str, value: Any) -> type[Reserve]:
    return type("Wrong", (Reserve,), {name: value})


def _sync(self: Any, context: Any) -> None:
    return None


async def _generator(self: Any, context: Any) -> Any:
    yield 1


async def _coroutine(self: Any, context: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (lambda: _with("act", _sync), "Wrong.act must be `async def`"),
        (lambda: _with("compensate", _sync), "Wrong.compensate must be `async def`"),
        (lambda: _with("act", _generator), "Wrong.act must be `async def`"),
        (lambda: _with("handle", _coroutine), "must not define handle"),
        (lambda: _with("events", lambda self: []), "events must be a property"),
        (lambda: _with("compensate_on_failure", 1), "compensate_on_failure must be True or False, not 1"),
        (lambda: _with("compensate_on_failure", property(_sync)), "compensate_on_failure must be True or"),
    ],
)
def test_methods_that_can_never_work_are_refused(step: Callable[[], type[Reserve]], part: str) -> None:
    with pytest.raises(SagaDefinitionError, match=part):
        declare([step()])


def test_two_classes_of_one_name_at_one_position_are_refused() -> None:
    with pytest.raises(SagaDefinitionError, match="two classes are named Reserve"):
        declare([Fallback(Reserve, type("Reserve", (Reserve,), {}))])


def test_an_empty_storage_name_is_refused() -> None:
    with pytest.raises(SagaDefinitionError, match="saga_name"):
        declare([Reserve], saga_name="")


def test_a_storage_name_that_no_column_holds_is_refused() -> None:
    with pytest.raises(SagaDefinitionError, match=r"saga_name has 256 characters; a storage takes 255"):
        declare([Reserve], saga_name="n" * 256)


def test_a_base_without_steps_may_be_defined_but_not_bound() -> None:
    T = TypeVar("T")

    class Base(Saga[T], Generic[T]):
        pass

    class Concrete(Base[Order]):
        steps = [Reserve]

    Concrete.check_context_type(Order)
    with pytest.raises(TypeError, match="Concrete handles Order"):
        Concrete.check_context_type(Other)
    with pytest.raises(SagaDefinitionError, match="Base declares no steps"):
        Base.check_context_type(Order)
