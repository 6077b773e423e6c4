"""Which type arguments a class gives to one of its generic bases."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, ForwardRef, TypeVar, get_args, get_origin

__all__ = ["get_generic_args_for_origin"]


def get_generic_args_for_origin(
    klass: Any, origin_classes: tuple[type[Any], ...], min_args: int = 1
) -> tuple[Any, ...] | None:
    """Return the type arguments with which ``klass`` parameterises the first of ``origin_classes`` found.

    Intermediate generic classes and mixins are followed and their type variables substituted. A variable that
    nothing fills stays in the result (or becomes its PEP 696 default), so that the caller can tell.

    Args:
        klass: a class, or a parameterised one such as ``Base[int]``.
        origin_classes: the generic bases to look for.
        min_args: fewest arguments that count as an answer; at least 0.

    Returns:
        The arguments, or ``None`` when no origin is a base or none was given ``min_args`` arguments.

    >>> from typing import Generic, TypeVar
    >>> T = TypeVar("T")
    >>> class Handler(Generic[T]): ...
    >>> class ListHandler(Handler[list[T]], Generic[T]): ...
    >>> class IntsHandler(ListHandler[int]): ...
    >>> get_generic_args_for_origin(IntsHandler, (Handler,))
    (list[int],)
    """
    for arguments in _parameterisations(klass, origin_classes, {}):
        if len(arguments) >= min_args:
            return arguments
    return None


def substitute(annotation: Any, variables: Mapping[Any, Any]) -> Any:
    """Return ``annotation`` with its type variables replaced by ``variables``; others stay.

    >>> T = TypeVar("T")
    >>> substitute(dict[str, T], {T: int})
    dict[str, int]
    """
    if isinstance(annotation, TypeVar):
        return variables.get(annotation, annotation)
    if isinstance(annotation, type) and not get_args(annotation):  # ``list[T]`` passes for a type on 3.11
        return annotation
    parameters = _parameters_of_alias(annotation)
    if not any(parameter in variables for parameter in parameters):
        return annotation
    alias: Any = annotation
    return alias[tuple(variables.get(parameter, parameter) for parameter in parameters)]


def type_variables(klass: type[Any]) -> tuple[Any, ...]:
    """Return the type parameters that ``klass`` itself declares, in the order of its subscription."""
    own = vars(klass).get("__parameters__")
    if own:
        return tuple(own)
    pydantic_metadata = vars(klass).get("__pydantic_generic_metadata__")
    if pydantic_metadata and pydantic_metadata["parameters"]:
        return tuple(pydantic_metadata["parameters"])
    found: dict[Any, None] = {}
    for base in vars(klass).get("__orig_bases__", ()):
        found.update(dict.fromkeys(_parameters_of_alias(base)))
    return tuple(found)


def _parameterisations(
    klass: Any, origins: tuple[type[Any], ...], variables: Mapping[Any, Any]
) -> Iterator[tuple[Any, ...]]:
    """Walk the declared bases depth first; ``variables`` are the arguments of the classes on the way."""
    origin, arguments = _split(klass)
    if not isinstance(origin, type):
        return
    arguments = tuple(substitute(argument, variables) for argument in arguments)
    if arguments and origin in origins:
        yield arguments
    parameters = type_variables(origin)
    filled = {parameter: _default(parameter) for parameter in parameters}
    filled.update(zip(parameters, arguments, strict=False))
    for base in vars(origin).get("__orig_bases__", origin.__bases__):
        for found in _parameterisations(base, origins, filled):
            yield tuple(_resolved(argument, origin) for argument in found)


def _split(klass: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the class and the arguments of a possibly parameterised class."""
    if isinstance(klass, type) and not get_args(klass):
        metadata = vars(klass).get("__pydantic_generic_metadata__")
        if metadata and metadata["origin"] is not None:  # ``Page[int]``: a real class made by pydantic
            return metadata["origin"], tuple(metadata["args"])
        return klass, ()
    return get_origin(klass), get_args(klass)


def _parameters_of_alias(alias: Any) -> tuple[Any, ...]:
    return tuple(getattr(alias, "__parameters__", ()))


def _default(parameter: Any) -> Any:
    has_default = getattr(parameter, "has_default", None)
    return parameter.__default__ if has_default is not None and has_default() else parameter


def _resolved(argument: Any, klass: type[Any]) -> Any:
    """Resolve a quoted class name in the module of the class that wrote it, if it is defined there."""
    name = argument.__forward_arg__ if isinstance(argument, ForwardRef) else argument
    if not isinstance(name, str):
        return argument
    module = sys.modules.get(klass.__module__)
    return getattr(module, name, argument)
