"""The built-in container: constructor injection by annotated types, without any dependency.

::

    container = (
        BuiltinContainer()
        .register_instance(Settings, Settings.load())
        .register(Database, open_database, lifetime=Lifetime.SINGLETON)   # async generator function
        .register(Session, SqlSession, lifetime=Lifetime.SCOPED)
    )
    mediator = bootstrap(container, commands_mapper=...)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from cqrs.container._plan import Lifetime, Node, Planner, Registration
from cqrs.container._scope import Scope
from cqrs.container._signature import type_name
from cqrs.exceptions import ConfigurationError, ResolutionError

__all__ = ["BuiltinContainer", "Lifetime"]

T = TypeVar("T")


class BuiltinContainer:
    """Builds handlers whose constructor arguments are annotated with registered types.

    Classes that are asked for directly, such as handlers, need no registration; what they depend on does. A
    parameter whose type is not registered keeps its default. Plans are worked out once per type.

    Threads and event loops may share a container. Singletons are built once.

    >>> class Clock: ...
    >>> class Handler:
    ...     def __init__(self, clock: Clock) -> None: ...
    >>> container = BuiltinContainer().register(Clock, lifetime=Lifetime.SINGLETON)
    >>> container.validate([Handler])
    """

    def __init__(self) -> None:
        self._registrations: dict[Any, Registration] = {}
        self._planner = Planner(self._registrations)
        self._lock = threading.Lock()
        self._root = Scope(self._node)

    def register(
        self,
        type_: Any,
        provider: Callable[..., Any] | None = None,
        *,
        lifetime: Lifetime = Lifetime.TRANSIENT,
    ) -> Self:
        """Say how to build ``type_``; the last word counts, until the type was used.

        Args:
            type_: the type as parameters name it: a class, a protocol, ``Annotated[str, "dsn"]`` ...
            provider: a class or a function (plain, ``async def``, generator or async generator function)
                whose own parameters are injected too; ``type_`` itself by default. What follows the ``yield``
                of a generator runs when its scope (for a singleton: the container) is closed.
            lifetime: how long an instance lives.

        Raises:
            ConfigurationError: the provider cannot be called, ``lifetime`` is no ``Lifetime``, or the type is
                already part of a plan.
        """
        provider = type_ if provider is None else provider
        if not callable(provider):
            raise ConfigurationError(
                f"cannot register {provider!r} for {type_name(type_)}: a provider is a class or a function; "
                "use register_instance for a ready object"
            )
        if not isinstance(lifetime, Lifetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"lifetime={lifetime!r} of {type_name(type_)} is not allowed: it must be one of "
                f"{', '.join(map(str, Lifetime))}"
            )
        with self._lock:
            if type_ in self._planner.nodes or type_ in self._planner.missing:
                raise ConfigurationError(
                    f"{type_name(type_)} is already in use: register everything before the first request, or "
                    "register it in a copy() of the container"
                )
            self._registrations[type_] = Registration(provider, lifetime)
        return self

    def register_instance(self, type_: Any, instance: Any) -> Self:
        """Say that ``instance`` is the one to inject for ``type_``; the container never closes it.

        Raises:
            ConfigurationError: the type is already part of a plan.
        """
        return self.register(type_, lambda: instance, lifetime=Lifetime.TRANSIENT)

    def copy(self) -> BuiltinContainer:
        """Return a container with the same registrations that has built nothing yet."""
        copied = BuiltinContainer()
        copied._registrations.update(self._registrations)
        return copied

    def validate(self, types: Iterable[type[Any]]) -> None:
        """Check that each of ``types`` can be built; nothing is built.

        Raises:
            ResolutionError: naming every one that cannot.
        """
        problems: list[str] = []
        for type_ in types:
            try:
                self._node(type_)
            except ResolutionError as error:
                problems.append(str(error))
        if problems:
            raise ResolutionError("\n".join(problems))

    def factory_for(self, type_: type[T]) -> Callable[[], T] | None:
        """Return a function that builds ``type_`` by plain calls, unless that needs a scope or an ``await``.

        Raises:
            ResolutionError: there is no way to build it.
        """
        return cast("Callable[[], T] | None", self._node(type_).plain)

    async def resolve(self, type_: type[T]) -> T:
        """Return an instance of a type that needs no scope.

        Raises:
            ResolutionError: there is no way to build it, or only in a scope.
        """
        node = self._node(type_)
        if node.needs_scope:
            raise ResolutionError(
                f"{type_name(type_)} needs a scope: resolve it inside `async with container.scope() as scope`"
            )
        return cast("T", await self._root.get(node))

    def scope(self) -> Scope:
        """Return a new scope: an async context manager that resolves types."""
        return Scope(self._node, self._root)

    async def aclose(self) -> None:
        """Close the singletons that are generators and forget all singletons; idempotent."""
        await self._root.close()
        with self._lock:
            for node in self._planner.nodes.values():
                node.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _node(self, type_: Any) -> Node:
        node = self._planner.nodes.get(type_)
        if node is None:
            with self._lock:  # two plans of one singleton would be two singletons
                node = self._planner.node(type_)
        return node
