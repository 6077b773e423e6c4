"""How the built-in container builds each type: found out once, then kept."""

from __future__ import annotations

import enum
import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cqrs.container._cells import AsyncCell, SyncCell
from cqrs.container._signature import chain, parameters_of, type_name
from cqrs.exceptions import ResolutionError


class Lifetime(enum.Enum):
    """How long an instance lives."""

    SINGLETON = "singleton"
    """As long as the container; built at first use."""
    SCOPED = "scoped"
    """As long as the scope, which is one dispatch and its events."""
    TRANSIENT = "transient"
    """A new one for whoever asks; a generator is closed with the scope."""


class Kind(enum.Enum):
    """How a provider is run."""

    CALL = enum.auto()
    AWAIT = enum.auto()
    GENERATOR = enum.auto()
    ASYNC_GENERATOR = enum.auto()


def kind_of(provider: Callable[..., Any]) -> Kind:
    """Return how ``provider`` is run; callable objects and partial functions count as what they call."""
    function: Any = provider
    while isinstance(function, functools.partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(function, type) and not inspect.isroutine(function):
        function = type(function).__call__
    if inspect.isasyncgenfunction(function):
        return Kind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(function):
        return Kind.GENERATOR
    return Kind.AWAIT if inspect.iscoroutinefunction(function) else Kind.CALL


@dataclass(frozen=True, slots=True)
class Registration:
    """What was said about a type."""

    provider: Callable[..., Any]
    lifetime: Lifetime


class Node:
    """One type in a plan.

    Attributes:
        key: the type.
        provider: what builds it.
        kind: how the provider is run.
        lifetime: how long the instance lives.
        positional: nodes of the positional arguments.
        keyword: nodes of the keyword-only arguments.
        scoped: the scoped type at or below this node, if any: such a node cannot serve a singleton.
        needs_scope: whether something at or below it belongs to a scope.
        plain: builds the type by a plain call, where that is possible.
        cell: holds a singleton that has no plain form.
    """

    __slots__ = (
        "cell",
        "key",
        "keyword",
        "kind",
        "lifetime",
        "needs_scope",
        "plain",
        "positional",
        "provider",
        "scoped",
        "sync_cell",
    )

    def __init__(
        self, key: Any, registration: Registration, positional: tuple[Node, ...], keyword: Mapping[str, Node]
    ) -> None:
        self.key = key
        self.provider = registration.provider
        self.kind = kind_of(registration.provider)
        self.lifetime = registration.lifetime
        self.positional = positional
        self.keyword = dict(keyword)
        dependencies = (*positional, *keyword.values())
        self.scoped: Any = next((node.scoped for node in dependencies if node.scoped is not None), None)
        self.needs_scope: bool = any(node.needs_scope for node in dependencies)
        if self.lifetime is Lifetime.SINGLETON:
            if self.scoped is not None:
                raise ResolutionError(
                    f"{type_name(key)} is a singleton but needs {type_name(self.scoped)}, which lives only "
                    f"as long as a scope; make {type_name(key)} scoped or transient"
                )
            self.needs_scope = False  # what its parts leave to close is closed with the container
        elif self.lifetime is Lifetime.SCOPED:
            self.scoped = key
            self.needs_scope = True
        elif self.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR):
            self.needs_scope = True
        self.cell: AsyncCell | None = None
        self.sync_cell: SyncCell | None = None
        self.plain = self._plain_form(dependencies)
        if self.lifetime is Lifetime.SINGLETON and self.plain is None:
            self.cell = AsyncCell(type_name(key))

    def clear(self) -> None:
        """Forget the singleton, if it is one and was built."""
        for cell in (self.cell, self.sync_cell):
            if cell is not None:
                cell.clear()

    def _plain_form(self, dependencies: tuple[Node, ...]) -> Callable[[], Any] | None:
        if self.kind is not Kind.CALL or self.lifetime is Lifetime.SCOPED:
            return None
        if any(node.plain is None for node in dependencies):
            return None
        build = self._plain_call()
        if self.lifetime is Lifetime.TRANSIENT:
            return build
        self.sync_cell = SyncCell(type_name(self.key), build)
        return self.sync_cell.get

    def _plain_call(self) -> Callable[[], Any]:
        provider = self.provider
        positional = [typing.cast("Callable[[], Any]", node.plain) for node in self.positional]
        keyword = {name: typing.cast("Callable[[], Any]", node.plain) for name, node in self.keyword.items()}
        if keyword:
            return lambda: provider(
                *[build() for build in positional], **{name: build() for name, build in keyword.items()}
            )
        if len(positional) > 1:
            return lambda: provider(*[build() for build in positional])
        if positional:
            (only,) = positional
            return lambda: provider(only())
        return provider


class Planner:
    """Turns registrations into nodes. Not thread-safe: the container locks.

    Attributes:
        nodes: the plans that were handed out, by type.
        missing: types that plans looked for and did not find, because a default took their place.
    """

    def __init__(self, registrations: Mapping[Any, Registration]) -> None:
        self._registrations = registrations
        self.nodes: dict[Any, Node] = {}
        self.missing: set[Any] = set()

    def node(self, key: Any) -> Node:
        """Return the plan of a type that was asked for from outside: registered, or a class to construct.

        Raises:
            ResolutionError: there is no way to build it, or something it needs.
        """
        found = self.nodes.get(key)
        if found is None:
            planned: dict[Any, Node] = {}
            missing: set[Any] = set()
            registration = self._registrations.get(key) or _own_registration(key)
            found = self._plan(key, registration, (), planned, missing)
            self.nodes.update(planned)  # only now: a plan that failed leaves everything open to registration
            self.missing |= missing
        return found

    def _plan(
        self,
        key: Any,
        registration: Registration,
        path: tuple[Any, ...],
        planned: dict[Any, Node],
        missing: set[Any],
    ) -> Node:
        known = self.nodes.get(key) or planned.get(key)
        if known is not None:
            return known
        path = (*path, key)
        positional: list[Node] = []
        keyword: dict[str, Node] = {}
        positional_ended = False
        for parameter in _parameters(registration.provider, path):
            wanted = self._wanted(parameter, path)
            if wanted is None:
                missing.update(_candidates(parameter.annotation))
                positional_ended = True
                continue
            dependency = self._plan(wanted, self._registrations[wanted], path, planned, missing)
            if positional_ended or parameter.kind is parameter.KEYWORD_ONLY:
                keyword[parameter.name] = dependency
            else:
                positional.append(dependency)
        node = planned[key] = Node(key, registration, tuple(positional), keyword)
        return node

    def _wanted(self, parameter: inspect.Parameter, path: tuple[Any, ...]) -> Any:
        """Return the registered type to inject for a parameter; ``None`` to leave it to its default."""
        candidates = _candidates(parameter.annotation)
        for candidate in candidates:
            if candidate in path:
                start = path.index(candidate)
                raise ResolutionError(f"types need each other: {chain((*path[start:], candidate))}")
            if candidate in self._registrations:
                return candidate
        if parameter.default is not parameter.empty:
            return None
        if not candidates:
            raise ResolutionError(
                f"cannot build {chain(path)}: parameter {parameter.name!r} of {type_name(path[-1])} has "
                "neither an annotation nor a default"
            )
        name = type_name(candidates[0])
        raise ResolutionError(
            f"cannot build {chain((*path, candidates[0]))}: nothing is registered for {name}, the type of "
            f"parameter {parameter.name!r}; call register({name}) or register_instance({name}, ...) first"
        )


def _own_registration(key: Any) -> Registration:
    """Return how to build a class that nobody registered, such as a handler."""
    if not isinstance(key, type) or key.__module__ == "builtins" or getattr(key, "_is_protocol", False):
        raise ResolutionError(
            f"nothing is registered for {type_name(key)}; call register({type_name(key)}, ...)"
        )
    if inspect.isabstract(key):
        missing = ", ".join(sorted(getattr(key, "__abstractmethods__", ())))
        raise ResolutionError(f"{type_name(key)} is abstract: it does not implement {missing}")
    return Registration(key, Lifetime.TRANSIENT)


def _parameters(provider: Any, path: tuple[Any, ...]) -> Sequence[inspect.Parameter]:
    try:
        return parameters_of(provider)
    except NameError as error:
        raise ResolutionError(
            f"cannot build {chain(path)}: an annotation of {type_name(provider)} cannot be evaluated: "
            f"{error}; import that name at run time"
        ) from error


def _candidates(annotation: Any) -> tuple[Any, ...]:
    """Return the types that can stand for an annotation: itself, what it annotates, members of a union."""
    if annotation is inspect.Parameter.empty:
        return ()
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return (annotation, *_candidates(typing.get_args(annotation)[0]))
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    if type(None) in typing.get_args(annotation) and len(members) == 1:  # Optional
        return _candidates(members[0])
    return (annotation,)
