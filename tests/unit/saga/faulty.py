"""A storage of sagas that suspends at every call, counts them, and fails where a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Literal

from cqrs.saga.storage.memory import MemorySagaStorage
from cqrs.saga.storage.protocol import SagaStorageRun

When = Literal["before", "after"]


class StorageDown(Exception):
    """What a failing storage raises."""


class FaultySagaStorage(MemorySagaStorage):
    """A ``MemorySagaStorage`` whose runs fail at calls that are numbered from 0, or picked by name.

    Args:
        fails: tells from number and name of a call whether it fails.
        when: ``"before"``: nothing has happened; ``"after"``: it has, and raises all the same.
        error: makes what is raised.
    """

    def __init__(
        self,
        fails: Callable[[int, str], bool] = lambda number, name: False,
        when: When = "before",
        error: Callable[[], BaseException] = StorageDown,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fails = fails
        self.when = when
        self.error = error
        self.calls: list[str] = []

    def heal(self) -> None:
        """Fail no more."""
        self.fails = lambda number, name: False

    def create_run(self) -> Any:
        return FaultyRun(self, super().create_run())

    async def passed(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Await ``call()``, or fail."""
        number = len(self.calls)
        self.calls.append(name)
        fails = self.fails(number, name)
        await asyncio.sleep(0)
        if fails and self.when == "before":
            raise self.error()
        result = await call()
        await asyncio.sleep(0)
        if fails:
            raise self.error()
        return result


class FaultyRun:
    def __init__(self, storage: FaultySagaStorage, run: AbstractAsyncContextManager[SagaStorageRun]) -> None:
        self._storage = storage
        self._context_manager = run
        self._run: Any = None

    async def __aenter__(self) -> FaultyRun:
        async def enter() -> None:
            self._run = await self._context_manager.__aenter__()

        await self._storage.passed("enter", enter)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._storage.passed("exit", lambda: self._context_manager.__aexit__(exc_type, exc, traceback))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._run, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._storage.passed(name, lambda: method(*args, **kwargs))

        return call


class NoRuns(MemorySagaStorage):
    """A storage of the old kind: what it writes is durable at once, and there are no leases."""

    def create_run(self) -> Any:
        raise NotImplementedError


__all__ = ["FaultySagaStorage", "NoRuns", "StorageDown", "When"]
