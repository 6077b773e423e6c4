"""Dependency injection: the port, the built-in container and adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.container.builtin import BuiltinContainer as BuiltinContainer
    from cqrs.container.builtin import Lifetime as Lifetime
    from cqrs.container.dependency_injector import (
        DependencyInjectorCQRSContainer as DependencyInjectorCQRSContainer,
    )
    from cqrs.container.di import DIContainer as DIContainer
    from cqrs.container.dishka import DishkaContainer as DishkaContainer
    from cqrs.container.protocol import Container as Container
    from cqrs.container.protocol import Resolver as Resolver
    from cqrs.container.wrap import as_container as as_container

_EXPORTS = {
    "BuiltinContainer": "cqrs.container.builtin",
    "Container": "cqrs.container.protocol",
    "DIContainer": "cqrs.container.di",
    "DependencyInjectorCQRSContainer": "cqrs.container.dependency_injector",
    "DishkaContainer": "cqrs.container.dishka",
    "Lifetime": "cqrs.container.builtin",
    "Resolver": "cqrs.container.protocol",
    "as_container": "cqrs.container.wrap",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
