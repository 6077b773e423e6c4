"""Breakers for tests of dispatching: the smallest one that fulfils the protocol, and one with ``guard``."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any


class Rejected(Exception):
    """The rejection of ``CallBreaker``."""


class CallBreaker:
    """Has only ``call``: opens after ``threshold`` failures in a row, and notes how each call ended."""

    def __init__(self, threshold: int = 2) -> None:
        self.threshold = threshold
        self.failures = 0
        self.outcomes: list[str] = []
        self.identifiers: set[Any] = set()

    @property
    def is_open(self) -> bool:
        return self.failures >= self.threshold

    async def call(
        self, identifier: type[Any] | str, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        self.identifiers.add(identifier)
        if self.is_open:
            self.outcomes.append("rejected")
            raise Rejected("open")
        try:
            result = await func(*args, **kwargs)
        except Exception:
            self.failures += 1
            self.outcomes.append("failure")
            raise
        except BaseException as error:
            self.outcomes.append(type(error).__name__)
            raise
        self.failures = 0
        self.outcomes.append("success")
        return result

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        return isinstance(exc, Rejected)


class NaiveBreaker(CallBreaker):
    """Counts whatever is raised, cancellation too."""

    async def call(
        self, identifier: type[Any] | str, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        try:
            return await super().call(identifier, func, *args, **kwargs)
        except Exception:
            raise
        except BaseException:
            self.failures += 1
            raise


class GuardBreaker(CallBreaker):
    """Has ``guard`` too; counts how often it was asked for."""

    def __init__(self, threshold: int = 2) -> None:
        super().__init__(threshold)
        self.guarded: list[Any] = []

    def guard(self, identifier: type[Any] | str, func: Callable[..., Any]) -> Callable[..., Any]:
        self.guarded.append(identifier)

        @functools.wraps(func)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await self.call(identifier, func, *args, **kwargs)

        return guarded
