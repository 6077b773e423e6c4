"""Middleware: code around every message of a mediator, once per message."""

from __future__ import annotations

import abc
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeAlias, cast

from cqrs.exceptions import HandlerTypeError

Handle: TypeAlias = Callable[[Any], Awaitable[Any]]
"""What a middleware awaits to pass a message on: ``await handle(request)``."""

StreamHandle: TypeAlias = Callable[[Any], AsyncIterator[Any]]
"""What the streaming form of a middleware iterates: ``async for item in handle(request)``."""

MiddlewareFunction: TypeAlias = Callable[[Any, Handle], Awaitable[Any]]
"""Any async callable with the arguments of ``Middleware.__call__`` is a middleware."""


class Middleware(abc.ABC):
    """Wraps the handling of a message: primary, circuit breaker and fallbacks together.

    Its errors reach the caller as they are; they are never a failure of the dependency and never lead to a
    fallback. Two methods are optional:

    - ``stream(request, handle)``, an async generator function that iterates ``handle(request)``: the form for
      streams. Without it a stream is one call that lasts as long as the stream, and ``await handle(request)``
      returns ``None`` when it has ended; that costs a task per stream.
    - ``is_idle()``: when it returns true for all middlewares of a chain, they are left out of the call.

    >>> class Count(Middleware):
    ...     calls = 0
    ...     async def __call__(self, request, handle):
    ...         Count.calls += 1
    ...         return await handle(request)
    """

    @abc.abstractmethod
    def __call__(self, request: Any, handle: Handle) -> Awaitable[Any]:
        """Return the response to ``request``, usually that of ``await handle(request)``."""


class MiddlewareChain:
    """The middlewares of a mediator, outermost first.

    Args:
        middlewares: instances, or classes that need no arguments.
    """

    def __init__(self, middlewares: Iterable[MiddlewareFunction | type[Any]] = ()) -> None:
        self._middlewares: tuple[MiddlewareFunction, ...] = ()
        self._watchers: list[Callable[[], object]] = []
        self.set(middlewares)

    @property
    def middlewares(self) -> tuple[MiddlewareFunction, ...]:
        """The middlewares, outermost first."""
        return self._middlewares

    def add(self, middleware: MiddlewareFunction | type[Any]) -> None:
        """Add an innermost middleware.

        Raises:
            TypeError: it is not callable, or a class that cannot be made without arguments.
        """
        self._replace((*self._middlewares, _instance(middleware)))

    def set(self, middlewares: Iterable[MiddlewareFunction | type[Any]]) -> None:
        """Replace all middlewares.

        Raises:
            TypeError: one of them is not callable, or a class that cannot be made without arguments.
        """
        if not isinstance(middlewares, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise HandlerTypeError(
                f"middlewares must be given as a list, outermost first, not {middlewares!r}"
            )
        self._replace(tuple(_instance(middleware) for middleware in middlewares))

    def wrap(self, handle: Handle) -> Handle:
        """Return ``handle`` with all middlewares around it."""
        for middleware in reversed(self._middlewares):
            handle = _around(middleware, handle)
        return handle

    def idleness(self) -> Callable[[], bool] | None:
        """Return what tells whether no middleware has anything to do now; ``None`` if that cannot be told."""
        methods = [optional_method(middleware, "is_idle") for middleware in self._middlewares]
        known = [method for method in methods if method is not None]
        if len(known) < len(methods):
            return None
        return known[0] if len(known) == 1 else lambda: all(is_idle() for is_idle in known)

    def __iter__(self) -> Iterator[MiddlewareFunction]:
        return iter(self._middlewares)

    def on_change(self, watcher: Callable[[], object]) -> None:
        """Call ``watcher()`` after each change: what was wrapped before is out of date."""
        self._watchers.append(watcher)

    def _replace(self, middlewares: tuple[MiddlewareFunction, ...]) -> None:
        self._middlewares = middlewares
        for watcher in self._watchers:
            watcher()


def optional_method(middleware: Any, name: str) -> Callable[..., Any] | None:
    """Return a method that speaks for the ``__call__`` of a middleware, if its class has one.

    A class that overrides ``__call__`` alone does not mean what an inherited ``is_idle`` or ``stream`` says.
    """
    # Looked up on the class: an object that makes up attributes when asked has no such method.
    classes: tuple[type[Any], ...] = type(middleware).__mro__
    for base in classes:
        if callable(vars(base).get(name)):
            method: Callable[..., Any] = getattr(middleware, name)
            return method
        if "__call__" in vars(base):
            break
    return None


def _around(middleware: MiddlewareFunction, handle: Handle) -> Handle:
    def call(request: Any) -> Awaitable[Any]:
        return middleware(request, handle)

    return call


def _instance(middleware: Any) -> MiddlewareFunction:
    if isinstance(middleware, type):
        try:
            middleware = middleware()
        except TypeError as error:
            raise HandlerTypeError(
                f"middleware class {middleware.__qualname__} cannot be made without arguments ({error}); "
                "give an instance"
            ) from error
    if not callable(middleware):
        raise HandlerTypeError(
            f"a middleware must be callable as `await middleware(request, handle)`, not {middleware!r}"
        )
    if inspect.iscoroutinefunction(getattr(type(middleware), "is_idle", None)):
        raise HandlerTypeError(
            f"{type(middleware).__qualname__}.is_idle must not be async: a coroutine is true, so the "
            "middleware would never run"
        )
    return cast("MiddlewareFunction", middleware)
