"""The adapter for the dishka library."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import dishka
import pytest

from cqrs.container.dishka import DishkaContainer
from cqrs.container.protocol import Container, ScopedContainer
from cqrs.exceptions import ResolutionError


class Pool:
    pass


class Session:
    pass


class Handler:
    def __init__(self, pool: Pool, session: Session) -> None:
        self.pool, self.session = pool, session


class Orphan:
    def __init__(self, handler: Handler, missing: Missing) -> None: ...


class Missing:
    pass


def make(session: Any = Session) -> DishkaContainer:
    provider = dishka.Provider()
    provider.provide(Pool, scope=dishka.Scope.APP)
    provider.provide(session, provides=Session, scope=dishka.Scope.REQUEST)
    provider.provide(Handler, scope=dishka.Scope.REQUEST, cache=False)
    return DishkaContainer(dishka.make_async_container(provider, lock_factory=asyncio.Lock))


async def begin() -> AsyncIterator[Session]:
    yield Session()


async def test_it_satisfies_the_protocols() -> None:
    assert isinstance(make(), Container)
    assert isinstance(make(), ScopedContainer)


async def test_app_dependencies_are_shared_and_request_dependencies_belong_to_the_scope() -> None:
    container = make()

    async with container.scope() as scope:
        first, again = await scope.resolve(Handler), await scope.resolve(Handler)
    other = await container.resolve(Handler)

    assert first.session is again.session
    assert first.session is not other.session
    assert first.pool is other.pool


@pytest.mark.parametrize("failure", [None, ValueError("failed"), asyncio.CancelledError()])
async def test_an_async_generator_is_open_in_its_scope_and_closed_after_it(
    failure: BaseException | None,
) -> None:
    log: list[str] = []

    async def begin() -> AsyncIterator[Session]:
        log.append("open")
        try:
            yield Session()
        finally:
            log.append("closed")

    async def use() -> None:
        async with make(begin).scope() as scope:
            await scope.resolve(Handler)
            assert log == ["open"]
            if failure is not None:
                raise failure

    outcome = await asyncio.gather(use(), return_exceptions=True)

    assert type(outcome[0]) is type(failure)
    assert log == ["open", "closed"]


async def test_a_failing_close_does_not_hide_the_error_before_it() -> None:
    async def begin() -> AsyncIterator[Session]:
        try:
            yield Session()
        finally:
            raise OSError("rollback failed")

    with pytest.raises(ValueError, match="the cause"):
        async with make(begin).scope() as scope:
            await scope.resolve(Session)
            raise ValueError("the cause")


async def test_a_type_without_a_factory_is_a_resolution_error() -> None:
    with pytest.raises(ResolutionError, match="Missing") as raised:
        await make().resolve(Missing)

    assert isinstance(raised.value.__cause__, dishka.exceptions.NoFactoryError)


async def test_a_constructors_own_error_crosses_unchanged() -> None:
    error = ConnectionError("down")

    def fail() -> Session:
        raise error

    with pytest.raises(ConnectionError) as raised:
        await make(fail).resolve(Handler)
    assert raised.value is error


async def test_parallel_tasks_in_one_scope_share_its_instances() -> None:
    async def begin() -> Session:
        await asyncio.sleep(0)
        return Session()

    async with make(begin).scope() as scope:
        handlers = await asyncio.gather(*(scope.resolve(Handler) for _ in range(5)))

    assert len({id(handler.session) for handler in handlers}) == 1


async def test_another_container_can_be_attached() -> None:
    container, other = make(), make().external_container

    container.attach_external_container(other)

    assert container.external_container is other


async def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    external = make().external_container
    monkeypatch.setitem(sys.modules, "dishka", None)

    with pytest.raises(ImportError, match=r"pip install 'holdfast\[dishka\]'"):
        DishkaContainer(external)
