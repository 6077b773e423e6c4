"""Where handlers come from during one dispatch: a scope of the container, opened when it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, TypeVar

from cqrs.container.protocol import Resolver
from cqrs.container.scoping import open_scope, plain_factory
from cqrs.dispatcher.declarations import is_plainly_sync, type_name
from cqrs.exceptions import ConfigurationError, ResolutionError

T = TypeVar("T")


class DispatchScope:
    """A resolver for the length of one dispatch; several tasks may use it at once."""

    __slots__ = ("_container", "_context", "_opening", "_resolver")

    def __init__(self, container: Resolver) -> None:
        self._container = container
        self._context: AbstractAsyncContextManager[Resolver] | None = None
        self._resolver: Resolver | None = None
        self._opening: asyncio.Lock | None = None

    async def resolve(self, type_: type[T]) -> T:
        """Return an instance of ``type_`` that lives as long as the scope."""
        resolver = self._resolver
        if resolver is None:
            resolver = await self._open()
        return await resolver.resolve(type_)

    async def _open(self) -> Resolver:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._resolver is None:
                if has_scopes(self._container):
                    context = open_scope(self._container)
                    self._resolver = await context.__aenter__()
                    self._context = context
                else:
                    self._resolver = self._container
            return self._resolver

    async def __aenter__(self) -> DispatchScope:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        context, self._context, self._resolver = self._context, None, None
        if context is not None:
            await context.__aexit__(exc_type, exc, traceback)


def check_container(container: Any) -> None:
    """Refuse what cannot resolve handlers.

    Raises:
        ConfigurationError: ``container`` is a class, or has no async ``resolve`` method.
    """
    resolve = getattr(container, "resolve", None)
    if isinstance(container, type) or not callable(resolve) or is_plainly_sync(resolve):
        raise ConfigurationError(
            f"a container must be an object with `async resolve(type)`, not {container!r}; "
            "cqrs.container has adapters for the containers of other libraries"
        )


def check_resolved(handler: Any, handler_type: type[Any]) -> None:
    """Refuse what cannot be a handler: a container that is set up wrongly is no failure of the handler.

    Raises:
        ResolutionError: ``handler`` is a class, or has no ``handle``.
    """
    if isinstance(handler, type) or not hasattr(handler, "handle"):
        raise ResolutionError(
            f"the container resolved {type_name(handler_type)} to {handler!r}, which is not an instance of a "
            "handler class"
        )


def has_scopes(container: Resolver) -> bool:
    """Tell whether what ``container`` builds may have to be released at the end of a dispatch."""
    # Looked up on the class, here and below: an object that makes up attributes when asked has no scopes.
    return callable(getattr(type(container), "scope", None))


def factory_of(container: Resolver, handler: type[Any]) -> Callable[[], Any] | None:
    """Return what builds ``handler`` without scope and without waiting, if the container has it.

    Raises:
        ResolutionError: there is no way to build the handler.
    """
    if not callable(getattr(type(container), "factory_for", None)):
        return None
    factory: Callable[[], Any] | None = plain_factory(container, handler)
    return factory


def factory_of_fallback(container: Resolver, handler: type[Any]) -> Callable[[], Any] | None:
    """Return the plain factory of a handler that may never be needed.

    That the container cannot build it is noticed when it is needed: a broken fallback does not disturb a
    healthy primary.
    """
    try:
        return factory_of(container, handler)
    except ResolutionError:
        return None
