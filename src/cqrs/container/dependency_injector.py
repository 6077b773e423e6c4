"""Adapter for the ``dependency-injector`` library (extra ``dependency-injector``)."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cqrs.container._external import missing_extra
from cqrs.container._signature import chain, parameters_of, type_name
from cqrs.exceptions import ResolutionError

if TYPE_CHECKING:
    from dependency_injector.containers import Container as ExternalContainer

__all__ = ["DependencyInjectorCQRSContainer"]

T = TypeVar("T")


class DependencyInjectorCQRSContainer:
    """Resolves through a container of ``dependency-injector``, by type instead of by name.

    A type is served by the provider of that class, else by the only provider of a subclass; nested containers
    are searched too. A handler without a provider is constructed: parameters without default are resolved by
    their annotations, the others (``Provide[...]`` markers of wired classes) are left alone. The library has
    no scopes: resources are opened at first use and closed by its own ``shutdown_resources()``.

    Args:
        container: an instance of a declarative container, or a dynamic one.

    Raises:
        ImportError: ``dependency-injector`` is not installed.
    """

    def __init__(self, container: ExternalContainer | None = None) -> None:
        try:
            from dependency_injector import containers, errors, providers
        except ImportError as error:
            raise missing_extra("dependency-injector", "dependency-injector") from error
        self._providers = providers
        self._error = errors.Error
        self._container: ExternalContainer = containers.DynamicContainer() if container is None else container
        self._builders: dict[Any, Callable[[], Any]] = {}
        self._arguments: dict[type[Any], dict[str, Any]] = {}

    @property
    def external_container(self) -> ExternalContainer:
        """The wrapped container."""
        return self._container

    def attach_external_container(self, container: ExternalContainer) -> None:
        """Resolve through ``container`` from now on."""
        self._container = container
        self._builders.clear()
        self._arguments.clear()

    async def resolve(self, type_: type[T]) -> T:
        """Return what the provider of ``type_`` gives, or a new instance of an unregistered class.

        Raises:
            ResolutionError: no provider gives it, or two do; the message names them.
        """
        return cast("T", await self._get(type_, ()))

    async def _get(self, type_: Any, path: tuple[Any, ...]) -> Any:
        builder = self._builders.get(type_)
        if builder is None:
            builder = self._provider_of(type_, path)
            if builder is None:
                if path:
                    raise ResolutionError(
                        f"cannot build {chain((*path, type_))}: no provider of the container gives "
                        f"{type_name(type_)}"
                    )
                return await self._construct(type_)
            self._builders[type_] = builder
        try:
            value = builder()
        except self._error as error:
            raise ResolutionError(f"cannot build {chain((*path, type_))}: {error}") from error
        # With an asynchronous resource below it, any provider returns a future.
        return await value if asyncio.isfuture(value) or inspect.iscoroutine(value) else value

    async def _construct(self, type_: Any) -> Any:
        wanted = self._arguments.get(type_)
        if wanted is None:
            wanted = self._arguments[type_] = _wanted_arguments(type_)
        return type_(**{name: await self._get(needed, (type_,)) for name, needed in wanted.items()})

    def _provider_of(self, type_: Any, path: tuple[Any, ...]) -> Callable[[], Any] | None:
        exact: dict[str, Any] = {}
        narrower: dict[str, Any] = {}
        for name, provider in self._named_providers(self._container, ""):
            provided = self._provided_type(provider)
            if provided == type_:
                exact[name] = provider
            elif isinstance(provided, type) and isinstance(type_, type) and issubclass(provided, type_):
                narrower[name] = provider
        matches = exact or narrower
        if len(matches) > 1:
            raise ResolutionError(
                f"cannot build {chain((*path, type_))}: several providers give {type_name(type_)}: "
                f"{', '.join(sorted(matches))}"
            )
        return next(iter(matches.values()), None)

    def _named_providers(self, container: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, provider in container.providers.items():
            nested: Any = provider
            if isinstance(provider, self._providers.Container):
                yield from self._named_providers(nested.container, f"{prefix}{name}.")
            elif not isinstance(provider, (self._providers.Configuration, self._providers.Self)):
                yield f"{prefix}{name}", provider

    def _provided_type(self, provider: Any) -> Any:
        """Return the class that a provider gives, as far as it says."""
        named: Any = provider
        if isinstance(provider, self._providers.Object):
            return type(cast("object", named.provides))
        if isinstance(provider, self._providers.Dependency):
            return named.instance_of
        provided = getattr(named, "provides", None)
        if provided is None or isinstance(provided, type):
            return provided
        try:
            returned = inspect.signature(provided, eval_str=True).return_annotation
        except (TypeError, ValueError, NameError):
            return None
        # A resource function is a generator: Iterator[Pool] gives a Pool.
        function = inspect.unwrap(provided)  # the library makes a context manager of it
        is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        return typing.get_args(returned)[0] if is_generator and typing.get_args(returned) else returned


def _wanted_arguments(type_: Any) -> dict[str, Any]:
    """Return name and type of the constructor parameters that have no default."""
    if not isinstance(type_, type) or inspect.isabstract(type_) or getattr(type_, "_is_protocol", False):
        raise ResolutionError(f"no provider of the container gives {type_name(type_)}, and it is abstract")
    wanted: dict[str, Any] = {}
    for parameter in _parameters(type_):
        if parameter.default is not parameter.empty:
            continue
        if parameter.annotation is parameter.empty:
            raise ResolutionError(
                f"cannot build {type_name(type_)}: parameter {parameter.name!r} has no annotation"
            )
        wanted[parameter.name] = parameter.annotation
    return wanted


def _parameters(type_: Any) -> Sequence[inspect.Parameter]:
    try:
        return parameters_of(type_)
    except NameError as error:
        raise ResolutionError(
            f"cannot build {type_name(type_)}: {error}; import that name at run time"
        ) from error
