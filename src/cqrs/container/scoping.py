"""How a dispatcher uses any container: scopes and plain factories where it has them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeVar, cast

from cqrs.container.protocol import PlanningContainer, Resolver, ScopedContainer

__all__ = ["open_scope", "plain_factory"]

T = TypeVar("T")


class _NoScope:
    """The scope of a container that has none: everything is resolved by the container itself."""

    __slots__ = ("_container",)

    def __init__(self, container: Resolver) -> None:
        self._container = container

    async def __aenter__(self) -> Resolver:
        return self._container

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


def open_scope(container: Resolver) -> AbstractAsyncContextManager[Resolver]:
    """Return a new scope of ``container`` (or, where it has no scopes, the container itself) as a context."""
    scope = getattr(container, "scope", None)  # isinstance(container, ScopedContainer) takes microseconds
    if callable(scope):
        return cast("ScopedContainer", container).scope()
    return _NoScope(container)


def plain_factory(container: Resolver, type_: type[T]) -> Callable[[], T] | None:
    """Return a function that builds ``type_`` without scope and without waiting, if the container has one.

    Ask once per type and keep the answer.

    Raises:
        ResolutionError: there is no way to build the type.
    """
    if isinstance(container, PlanningContainer):
        return container.factory_for(type_)
    return None
