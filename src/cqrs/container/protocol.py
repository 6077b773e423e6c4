"""What a dependency injection container must offer, and what it may offer on top.

``Container`` is enough: one coroutine method that builds a type. The two other protocols are optional and
found by ``isinstance``:

- ``ScopedContainer``: dependencies of one dispatch live in a scope, which stays open until the request and
  its events are done and is then closed.
- ``PlanningContainer``: types that need neither a scope nor an ``await`` come with a plain factory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar, runtime_checkable

__all__ = ["Container", "PlanningContainer", "Resolver", "ScopedContainer"]

T = TypeVar("T")
ExternalT = TypeVar("ExternalT")


@runtime_checkable
class Resolver(Protocol):
    """Builds instances of types."""

    async def resolve(self, type_: type[T]) -> T:
        """Return an instance of ``type_`` with its dependencies.

        Raises:
            ResolutionError: there is no way to build it.
            Exception: what a constructor or factory raised, unchanged.
        """
        ...


@runtime_checkable
class Container(Resolver, Protocol[ExternalT]):
    """A resolver around a container of another library."""

    @property
    def external_container(self) -> ExternalT:
        """The wrapped container."""
        ...

    def attach_external_container(self, container: ExternalT) -> None:
        """Use ``container`` from now on."""
        ...


@runtime_checkable
class ScopedContainer(Resolver, Protocol):
    """A resolver that can keep what it builds alive for the length of a scope."""

    def scope(self) -> AbstractAsyncContextManager[Resolver]:
        """Open a scope; what its resolver builds is released when the context manager exits.

        Every call makes a new, independent scope. Leaving the context manager closes generator dependencies
        in the reverse order of their creation, also after an error or a cancellation, and swallows nothing.
        """
        ...


@runtime_checkable
class PlanningContainer(Protocol):
    """A resolver that knows beforehand which types can be built by a plain call."""

    def factory_for(self, type_: type[T]) -> Callable[[], T] | None:
        """Return a function that builds ``type_`` without a scope and without waiting, if there is one.

        The function may be kept for the life of the container and be called from any thread or event loop;
        calling it is equivalent to resolving the type. ``None`` means that the type must be resolved, in a
        scope where the container has one.

        Raises:
            ResolutionError: there is no way to build the type.
        """
        ...
