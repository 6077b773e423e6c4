"""Accept whatever container an application has."""

from __future__ import annotations

import sys
from typing import Any, cast

from cqrs.container.protocol import Resolver
from cqrs.exceptions import ConfigurationError

__all__ = ["as_container"]


def as_container(container: Any) -> Resolver:
    """Return ``container`` itself if it has ``resolve``, else the adapter for its library.

    Known are the containers of ``di``, ``dishka`` (asynchronous) and ``dependency-injector``.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(container, type):
        raise ConfigurationError(f"{container.__qualname__} is a class; pass an instance of the container")
    if _is_instance(container, "di", "Container"):
        from cqrs.container.di import DIContainer

        return DIContainer(container)
    if _is_instance(container, "dishka", "AsyncContainer"):
        from cqrs.container.dishka import DishkaContainer

        return DishkaContainer(container)
    if _is_instance(container, "dependency_injector.containers", "Container"):
        from cqrs.container.dependency_injector import DependencyInjectorCQRSContainer

        return DependencyInjectorCQRSContainer(container)
    if callable(getattr(container, "resolve", None)):
        return cast("Resolver", container)
    raise ConfigurationError(
        f"{type(container).__qualname__} is no container: it needs `async resolve(type_)`, or must come from "
        "di, dishka (make_async_container) or dependency-injector"
    )


def _is_instance(value: object, module: str, name: str) -> bool:
    """Tell whether a value is of a library's class, without importing a library that nobody uses."""
    klass = getattr(sys.modules.get(module), name, None)
    return isinstance(klass, type) and isinstance(value, klass)
