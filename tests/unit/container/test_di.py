"""The adapter for the di library."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any, Protocol

import di
import pytest
from di.dependent import Dependent

from cqrs.container.di import DIContainer
from cqrs.container.protocol import Container, ScopedContainer
from cqrs.exceptions import ResolutionError


class Session:
    pass


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


class Handler:
    def __init__(self, repository: Repository, session: Session) -> None:
        self.repository, self.session = repository, session


class Port(Protocol):
    def name(self) -> str: ...


class PortHandler:
    def __init__(self, port: Port) -> None:
        self.port = port


class Adapter:
    def name(self) -> str:
        return "adapter"


def bound(type_: Any, provider: Any) -> DIContainer:
    container = di.Container()
    container.bind(di.bind_by_type(Dependent(provider, scope="request"), type_))
    return DIContainer(container)


def test_it_satisfies_the_protocols() -> None:
    assert isinstance(DIContainer(), Container)
    assert isinstance(DIContainer(), ScopedContainer)


async def test_it_resolves_without_a_scope() -> None:
    assert isinstance((await DIContainer().resolve(Handler)).repository, Repository)


async def test_a_scope_shares_dependencies_but_not_handlers() -> None:
    async with DIContainer().scope() as scope:
        first, second = await scope.resolve(Handler), await scope.resolve(Handler)

    assert first is not second
    assert first.session is first.repository.session is second.session


async def test_binds_are_followed_also_when_they_change() -> None:
    external = di.Container()
    container = DIContainer(external)
    assert type((await container.resolve(Handler)).session) is Session

    class FakeSession(Session):
        pass

    with external.bind(di.bind_by_type(Dependent(FakeSession, scope="request"), Session)):
        assert type((await container.resolve(Handler)).session) is FakeSession
    assert type((await container.resolve(Handler)).session) is Session


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
        async with bound(Session, begin).scope() as scope:
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
        async with bound(Session, begin).scope() as scope:
            await scope.resolve(Session)
            raise ValueError("the cause")


async def test_an_unbound_protocol_is_a_resolution_error() -> None:
    with pytest.raises(ResolutionError, match="nothing is bound to Port"):
        await DIContainer().resolve(PortHandler)

    assert (await bound(Port, Adapter).resolve(PortHandler)).port.name() == "adapter"


class Cyclic:
    def __init__(self, other: Cyclic) -> None: ...


async def test_the_librarys_own_wiring_errors_are_resolution_errors() -> None:
    with pytest.raises(ResolutionError, match="Cyclic") as raised:
        await DIContainer().resolve(Cyclic)

    assert raised.value.__cause__ is not None


async def test_a_constructors_own_error_crosses_unchanged() -> None:
    error = ConnectionError("down")

    def fail() -> Session:
        raise error

    with pytest.raises(ConnectionError) as raised:
        await bound(Session, fail).resolve(Handler)
    assert raised.value is error


async def test_parallel_tasks_in_one_scope_share_its_instances() -> None:
    async def begin() -> Session:
        await asyncio.sleep(0)
        return Session()

    async with bound(Session, begin).scope() as scope:
        handlers = await asyncio.gather(*(scope.resolve(Handler) for _ in range(5)))

    assert len({id(handler.session) for handler in handlers}) == 1


async def test_another_container_can_be_attached() -> None:
    container = DIContainer()
    other = bound(Port, Adapter).external_container

    container.attach_external_container(other)

    assert container.external_container is other
    assert isinstance((await container.resolve(PortHandler)).port, Adapter)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "di", None)

    with pytest.raises(ImportError, match=r"pip install 'holdfast\[di\]'"):
        DIContainer()
