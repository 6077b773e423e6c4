"""Adapter for the ``dishka`` library (extra ``dishka``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from cqrs.container._external import ExternalScope, missing_extra
from cqrs.exceptions import ResolutionError

if TYPE_CHECKING:
    from dishka import AsyncContainer

__all__ = ["DishkaContainer"]

T = TypeVar("T")


class DishkaContainer:
    """Resolves through a ``dishka.AsyncContainer``; its REQUEST scope is open for one dispatch.

    Handlers are provided like everything else: ``provider.provide(Handler, scope=Scope.REQUEST)``. The dishka
    container itself is closed by whoever made it.

    Args:
        container: what ``dishka.make_async_container`` returned.

    Raises:
        ImportError: ``dishka`` is not installed.
    """

    def __init__(self, container: AsyncContainer) -> None:
        try:
            from dishka import exceptions
        except ImportError as error:
            raise missing_extra("dishka", "dishka") from error
        self._container = container
        self._missing = (exceptions.NoFactoryError, exceptions.NoActiveFactoryError)

    @property
    def external_container(self) -> AsyncContainer:
        """The dishka container."""
        return self._container

    def attach_external_container(self, container: AsyncContainer) -> None:
        """Resolve through ``container`` from now on."""
        self._container = container

    def scope(self) -> ExternalScope[AsyncContainer]:
        """Return a new REQUEST scope; generator dependencies are closed when it ends."""
        return ExternalScope(self._container(), self._get)

    async def resolve(self, type_: type[T]) -> T:
        """Return an instance of ``type_`` from a scope that is closed again at once.

        Raises:
            ResolutionError: dishka knows no factory for it, or for something it needs.
        """
        async with self.scope() as scope:
            return await scope.resolve(type_)

    async def _get(self, container: AsyncContainer, type_: Any) -> Any:
        try:
            return await container.get(type_)
        except self._missing as error:
            raise ResolutionError(f"dishka cannot build {type_.__qualname__}: {error}") from error
