"""What a class or function needs to be called."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any


def parameters_of(provider: Any) -> Sequence[inspect.Parameter]:
    """Return the parameters, annotations evaluated, without ``self``, ``*args`` and ``**kwargs``.

    Raises:
        NameError: an annotation cannot be evaluated.
    """
    if isinstance(provider, type) and not any(
        {"__init__", "__new__"} & vars(base).keys() for base in provider.__mro__ if base is not object
    ):
        return ()
    try:
        signature = inspect.signature(provider, eval_str=True)
    except ValueError:  # a built-in without signature takes no injected arguments
        return ()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [parameter for parameter in signature.parameters.values() if parameter.kind not in variable]


def type_name(key: Any) -> str:
    """Return a type as it is written in code."""
    return str(key.__qualname__) if isinstance(key, type) or inspect.isroutine(key) else str(key)


def chain(path: Sequence[Any]) -> str:
    """Return the types that led to a problem, first one first."""
    return " -> ".join(type_name(key) for key in path)
