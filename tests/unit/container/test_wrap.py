"""Whatever container an application has is accepted."""

from __future__ import annotations

from typing import Any

import di
import dishka
import pytest
from dependency_injector import containers

from cqrs.container.builtin import BuiltinContainer
from cqrs.container.dependency_injector import DependencyInjectorCQRSContainer
from cqrs.container.di import DIContainer
from cqrs.container.dishka import DishkaContainer
from cqrs.container.wrap import as_container
from cqrs.exceptions import ConfigurationError


class OnlyResolve:
    async def resolve(self, type_: type[Any]) -> Any:
        return type_()


class DeclarativeContainer(containers.DeclarativeContainer):
    pass


@pytest.mark.parametrize(
    ("raw", "adapter"),
    [
        (di.Container(), DIContainer),
        (containers.DynamicContainer(), DependencyInjectorCQRSContainer),
        (DeclarativeContainer(), DependencyInjectorCQRSContainer),
    ],
)
def test_a_container_of_a_known_library_is_wrapped(raw: Any, adapter: type[Any]) -> None:
    wrapped: Any = as_container(raw)

    assert isinstance(wrapped, adapter)
    assert wrapped.external_container is raw


async def test_a_dishka_container_is_wrapped() -> None:
    raw = dishka.make_async_container(dishka.Provider())

    assert isinstance(as_container(raw), DishkaContainer)


@pytest.mark.parametrize("container", [OnlyResolve(), BuiltinContainer(), DIContainer()])
def test_anything_with_resolve_is_used_as_it_is(container: Any) -> None:
    assert as_container(container) is container


@pytest.mark.parametrize(("value", "message"), [({}, "dict is no container"), (OnlyResolve, "is a class")])
def test_anything_else_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        as_container(value)
