"""Scopes of the built-in container: what is shared in them, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from cqrs.container.builtin import BuiltinContainer, Lifetime


class Connection:
    def __init__(self) -> None:
        self.log: list[str] = []


class Session:
    def __init__(self, name: str = "session") -> None:
        self.name = name


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


class Handler:
    def __init__(self, repository: Repository, session: Session) -> None:
        self.repository, self.session = repository, session


Log = list[str]


def logging_providers(log: Log) -> dict[str, Callable[..., Any]]:
    def sync_generator() -> Iterator[Session]:
        log.append("open")
        try:
            yield Session()
        except BaseException as error:
            log.append(f"saw {type(error).__name__}")
            raise
        finally:
            log.append("closed")

    async def async_generator() -> AsyncIterator[Session]:
        log.append("open")
        try:
            yield Session()
        except BaseException as error:
            log.append(f"saw {type(error).__name__}")
            raise
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    return {"sync": sync_generator, "async": async_generator}


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_scoped_instance_is_shared_in_a_scope_and_new_in_the_next() -> None:
    container = BuiltinContainer().register(Session, lifetime=Lifetime.SCOPED).register(Repository)

    async with container.scope() as scope:
        first = await scope.resolve(Handler)
        again = await scope.resolve(Handler)
    async with container.scope() as scope:
        other = await scope.resolve(Handler)

    assert first.session is first.repository.session is again.session
    assert first is not again
    assert other.session is not first.session


async def test_a_generator_is_open_inside_its_scope_and_closed_after_it(kind: str) -> None:
    log: Log = []
    container = BuiltinContainer().register(Session, logging_providers(log)[kind], lifetime=Lifetime.SCOPED)

    async with container.scope() as scope:
        await scope.resolve(Session)
        assert log == ["open"]

    assert log == ["open", "closed"]


async def test_a_generator_sees_the_error_that_ends_its_scope(kind: str) -> None:
    log: Log = []
    container = BuiltinContainer().register(Session, logging_providers(log)[kind], lifetime=Lifetime.SCOPED)
    error = ValueError("failed")

    with pytest.raises(ValueError) as raised:
        async with container.scope() as scope:
            await scope.resolve(Session)
            raise error

    assert raised.value is error
    assert log == ["open", "saw ValueError", "closed"]


async def test_a_generator_is_closed_when_its_task_is_cancelled(kind: str) -> None:
    log: Log = []
    container = BuiltinContainer().register(Session, logging_providers(log)[kind], lifetime=Lifetime.SCOPED)
    resolved = asyncio.Event()

    async def work() -> None:
        async with container.scope() as scope:
            await scope.resolve(Session)
            resolved.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await resolved.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["open", "saw CancelledError", "closed"]


async def test_a_generator_that_swallows_the_error_does_not_hide_it() -> None:
    def swallow() -> Iterator[Session]:
        try:
            yield Session()
        except ValueError:
            return

    container = BuiltinContainer().register(Session, swallow, lifetime=Lifetime.SCOPED)

    with pytest.raises(ValueError):
        async with container.scope() as scope:
            await scope.resolve(Session)
            raise ValueError


async def test_dependencies_are_closed_last_first() -> None:
    log: Log = []

    def connect() -> Iterator[Connection]:
        yield Connection()
        log.append("connection")

    async def begin(connection: Connection) -> AsyncIterator[Session]:
        yield Session()
        log.append("session")

    container = (
        BuiltinContainer()
        .register(Connection, connect, lifetime=Lifetime.SCOPED)
        .register(Session, begin, lifetime=Lifetime.SCOPED)
    )
    async with container.scope() as scope:
        await scope.resolve(Session)

    assert log == ["session", "connection"]


async def test_a_failing_close_is_raised_after_a_success_and_the_rest_is_closed() -> None:
    log: Log = []

    def connect() -> Iterator[Connection]:
        yield Connection()
        log.append("connection")

    async def begin(connection: Connection) -> AsyncIterator[Session]:
        yield Session()
        raise OSError("commit failed")

    container = (
        BuiltinContainer()
        .register(Connection, connect, lifetime=Lifetime.SCOPED)
        .register(Session, begin, lifetime=Lifetime.SCOPED)
    )
    with pytest.raises(OSError, match="commit failed"):
        async with container.scope() as scope:
            await scope.resolve(Session)

    assert log == ["connection"]


async def test_several_failing_closes_are_raised_together() -> None:
    def connect() -> Iterator[Connection]:
        yield Connection()
        raise OSError("first")

    def begin(connection: Connection) -> Iterator[Session]:
        yield Session()
        raise ValueError("second")

    container = (
        BuiltinContainer()
        .register(Connection, connect, lifetime=Lifetime.SCOPED)
        .register(Session, begin, lifetime=Lifetime.SCOPED)
    )
    with pytest.raises(BaseExceptionGroup) as raised:
        async with container.scope() as scope:
            await scope.resolve(Session)

    assert [type(error) for error in raised.value.exceptions] == [ValueError, OSError]


async def test_a_failing_close_never_hides_the_error_before_it(caplog: pytest.LogCaptureFixture) -> None:
    def begin() -> Iterator[Session]:
        try:
            yield Session()
        finally:
            raise OSError("rollback failed")

    container = BuiltinContainer().register(Session, begin, lifetime=Lifetime.SCOPED)

    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="the cause"):
        async with container.scope() as scope:
            await scope.resolve(Session)
            raise ValueError("the cause")

    assert "failed to close" in caplog.text


async def test_a_cancellation_while_closing_still_closes_the_rest_and_is_raised() -> None:
    log: Log = []
    closing = asyncio.Event()

    def connect() -> Iterator[Connection]:
        yield Connection()
        log.append("connection")

    async def begin(connection: Connection) -> AsyncIterator[Session]:
        yield Session()
        closing.set()
        await asyncio.Event().wait()

    container = (
        BuiltinContainer()
        .register(Connection, connect, lifetime=Lifetime.SCOPED)
        .register(Session, begin, lifetime=Lifetime.SCOPED)
    )

    async def work() -> None:
        async with container.scope() as scope:
            await scope.resolve(Session)

    task = asyncio.create_task(work())
    await closing.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["connection"]


async def test_a_cancellation_while_closing_after_an_error_is_raised() -> None:
    closing = asyncio.Event()

    async def begin() -> AsyncIterator[Session]:
        try:
            yield Session()
        finally:
            closing.set()
            await asyncio.Event().wait()

    container = BuiltinContainer().register(Session, begin, lifetime=Lifetime.SCOPED)

    async def work() -> None:
        async with container.scope() as scope:
            await scope.resolve(Session)
            raise ValueError

    task = asyncio.create_task(work())
    await closing.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_dependency_that_yields_twice_is_reported(kind: str) -> None:
    def twice() -> Iterator[Session]:
        yield Session()
        yield Session()

    async def twice_async() -> AsyncIterator[Session]:
        yield Session()
        yield Session()

    provider: Any = {"sync": twice, "async": twice_async}[kind]
    container = BuiltinContainer().register(Session, provider, lifetime=Lifetime.SCOPED)

    with pytest.raises(RuntimeError, match="yielded more than once"):
        async with container.scope() as scope:
            await scope.resolve(Session)


async def test_a_failed_constructor_closes_what_was_opened_for_it(kind: str) -> None:
    log: Log = []

    class Broken:
        def __init__(self, session: Session) -> None:
            raise ValueError("broken")

    container = BuiltinContainer().register(Session, logging_providers(log)[kind], lifetime=Lifetime.SCOPED)
    Broken.__init__.__annotations__["session"] = Session

    with pytest.raises(ValueError, match="broken"):
        async with container.scope() as scope:
            await scope.resolve(Broken)

    assert log == ["open", "saw ValueError", "closed"]


async def test_a_transient_generator_is_new_for_each_user_and_closed_with_the_scope(kind: str) -> None:
    log: Log = []
    container = BuiltinContainer().register(Session, logging_providers(log)[kind]).register(Repository)

    async with container.scope() as scope:
        handler = await scope.resolve(Handler)
        assert handler.session is not handler.repository.session

    assert log == ["open", "open", "closed", "closed"]


async def test_parallel_tasks_in_one_scope_share_its_instances() -> None:
    gate = asyncio.Event()
    built: list[Session] = []

    async def begin() -> Session:
        built.append(Session())
        await gate.wait()
        return built[-1]

    container = BuiltinContainer().register(Session, begin, lifetime=Lifetime.SCOPED)
    async with container.scope() as scope:
        tasks = [asyncio.create_task(scope.resolve(Session)) for _ in range(10)]
        await asyncio.sleep(0)
        gate.set()
        found = await asyncio.gather(*tasks)

    assert found == [built[0]] * 10


async def test_a_scope_may_be_entered_in_one_task_and_left_in_another(kind: str) -> None:
    log: Log = []
    container = BuiltinContainer().register(Session, logging_providers(log)[kind], lifetime=Lifetime.SCOPED)
    scope = container.scope()

    async def enter() -> None:
        await (await scope.__aenter__()).resolve(Session)

    await asyncio.create_task(enter())
    await asyncio.create_task(scope.__aexit__(None, None, None))

    assert log == ["open", "closed"]


async def test_a_closed_scope_resolves_nothing() -> None:
    container = BuiltinContainer().register(Session, lifetime=Lifetime.SCOPED)
    async with container.scope() as scope:
        pass

    with pytest.raises(RuntimeError, match="the scope is closed"):
        await scope.resolve(Session)


async def test_a_singleton_generator_outlives_scopes_and_is_closed_with_the_container(kind: str) -> None:
    log: Log = []
    container = BuiltinContainer().register(
        Session, logging_providers(log)[kind], lifetime=Lifetime.SINGLETON
    )

    async with container:
        async with container.scope() as scope:
            first = await scope.resolve(Session)
        async with container.scope() as scope:
            assert await scope.resolve(Session) is first
        assert log == ["open"]
    assert log == ["open", "closed"]

    await container.aclose()
    assert log == ["open", "closed"]
    assert await container.resolve(Session) is not first
    await container.aclose()
