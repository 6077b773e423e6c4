"""What type checkers infer about containers; read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from cqrs.container import BuiltinContainer, DIContainer, DishkaContainer, Resolver, as_container
from cqrs.container.protocol import Container, PlanningContainer, ScopedContainer
from cqrs.container.scoping import open_scope, plain_factory


class Handler:
    pass


async def resolving_gives_the_type_asked_for(builtin: BuiltinContainer, other: object) -> None:
    assert_type(await builtin.resolve(Handler), Handler)
    assert_type(builtin.factory_for(Handler), Callable[[], Handler] | None)
    assert_type(plain_factory(builtin, Handler), Callable[[], Handler] | None)
    async with open_scope(as_container(other)) as scope:
        assert_type(scope, Resolver)
        assert_type(await scope.resolve(Handler), Handler)


def containers_satisfy_the_protocols(
    builtin: BuiltinContainer, di_container: DIContainer, dishka_container: DishkaContainer
) -> None:
    resolvers: list[Resolver] = [builtin, di_container, dishka_container]
    scoped: list[ScopedContainer] = [builtin, di_container, dishka_container]
    planning: PlanningContainer = builtin
    wrapping: Container[Any] = di_container
    print(resolvers, scoped, planning, wrapping)
