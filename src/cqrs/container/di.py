"""Adapter for the ``di`` library (extra ``di``)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from cqrs.container._external import ExternalScope, missing_extra
from cqrs.exceptions import ResolutionError

if TYPE_CHECKING:
    import di

__all__ = ["DIContainer"]

T = TypeVar("T")
_SCOPE = "request"


class DIContainer:
    """Resolves through a ``di.Container``; its scope ``"request"`` is open for one dispatch.

    Args:
        container: the ``di`` container; a new, empty one by default.

    Raises:
        ImportError: ``di`` is not installed.
    """

    def __init__(self, container: di.Container | None = None) -> None:
        try:
            import di
            from di import exceptions
            from di.dependent import Dependent, Marker
            from di.executors import AsyncExecutor
        except ImportError as error:
            raise missing_extra("di", "di") from error
        self._container = di.Container() if container is None else container

        class Root(Dependent[Any]):
            """A type asked for from outside: new each time; what it depends on is shared in the scope."""

            def get_default_marker(self) -> Marker:
                return Marker(scope=self.scope, use_cache=True)

        self._root = Root
        self._executor = AsyncExecutor()
        self._wiring_error = exceptions.DependencyInjectionException
        self._solved: dict[Any, tuple[tuple[Any, ...], di.SolvedDependent[Any]]] = {}

    @property
    def external_container(self) -> di.Container:
        """The ``di`` container."""
        return self._container

    def attach_external_container(self, container: di.Container) -> None:
        """Resolve through ``container`` from now on."""
        self._container = container
        self._solved.clear()

    def scope(self) -> ExternalScope[di.ScopeState]:
        """Return a new ``"request"`` scope; generator dependencies are closed when it ends."""
        return ExternalScope(self._container.enter_scope(_SCOPE), self._get)

    async def resolve(self, type_: type[T]) -> T:
        """Return an instance of ``type_`` from a scope that is closed again at once.

        Raises:
            ResolutionError: ``di`` sees no way to build it.
        """
        async with self.scope() as scope:
            return await scope.resolve(type_)

    async def _get(self, state: di.ScopeState, type_: Any) -> Any:
        return await self._plan(type_).execute_async(executor=self._executor, state=state)

    def _plan(self, type_: Any) -> di.SolvedDependent[Any]:
        # Solving is costly; the answer holds until somebody binds or unbinds something.
        binds = tuple(getattr(self._container, "_bind_hooks", ()))
        known = self._solved.get(type_)
        if known is not None and known[0] == binds:
            return known[1]
        try:
            dependent = self._root(type_, scope=_SCOPE, use_cache=False)
            solved = self._container.solve(dependent, scopes=[_SCOPE])
        except self._wiring_error as error:
            raise ResolutionError(f"di cannot build {type_.__qualname__}: {error}") from error
        for dependency in solved.dag:
            call: Any = dependency.call
            if inspect.isabstract(call) or getattr(call, "_is_protocol", False):
                raise ResolutionError(
                    f"di cannot build {type_.__qualname__}: nothing is bound to {call.__qualname__}, "
                    "which is abstract; bind it with di.bind_by_type"
                )
        self._solved[type_] = (binds, solved)
        return solved
