"""One way to use every container."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.container.builtin import BuiltinContainer, Lifetime
from cqrs.container.scoping import open_scope, plain_factory


class Handler:
    pass


class OnlyResolve:
    async def resolve(self, type_: type[Any]) -> Any:
        return type_()


async def test_a_container_without_scopes_stands_for_its_own_scope() -> None:
    container = OnlyResolve()

    async with open_scope(container) as resolver:
        assert resolver is container
    with pytest.raises(ValueError, match="passes through"):
        async with open_scope(container):
            raise ValueError("passes through")


async def test_a_container_with_scopes_opens_a_new_one_each_time() -> None:
    container = BuiltinContainer().register(Handler, lifetime=Lifetime.SCOPED)

    async with open_scope(container) as first, open_scope(container) as second:
        assert await first.resolve(Handler) is not await second.resolve(Handler)


def test_only_a_container_that_plans_has_plain_factories() -> None:
    assert plain_factory(BuiltinContainer(), Handler) is Handler
    assert plain_factory(OnlyResolve(), Handler) is None
