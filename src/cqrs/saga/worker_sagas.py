"""The sagas that a ``RecoveryWorker`` knows, by their names in the storage."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, cast

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.declarations import declared_types, is_subclass, type_name
from cqrs.dispatcher.saga_map import SagaMap
from cqrs.dispatcher.scope import check_container
from cqrs.exceptions import ConfigurationTypeError
from cqrs.saga.context import context_reader
from cqrs.saga.saga import Saga
from cqrs.saga.storage.protocol import ISagaStorage

__all__ = ["KnownSaga", "known_sagas"]


@dataclasses.dataclass(frozen=True, slots=True)
class KnownSaga:
    """A saga class, and what makes its contexts from what is stored."""

    saga: type[Saga[Any]]
    context_builder: Any


def known_sagas(
    sagas: Mapping[type[Any], type[Any]] | Iterable[type[Saga[Any]]],
    container: Resolver,
    storage: ISagaStorage,
) -> dict[str, KnownSaga]:
    """Return the sagas by their names; each is checked as far as is possible without one of them.

    Raises:
        ConfigurationError: there are none, one is no saga class or declares no context, two have the same
            name, or the container cannot build a step.
    """
    if not isinstance(sagas, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"sagas must be a SagaMap or saga classes, not {sagas!r}")
    check_container(container)
    found = SagaMap()
    for context_type, saga in _pairs(sagas):
        found.bind(context_type, saga)
    if not found:
        raise ConfigurationTypeError("a recovery worker needs at least one saga class")
    known: dict[str, KnownSaga] = {}
    for context_type, saga in found.items():
        reader = context_reader(context_type)
        # Nothing is asked of the storage; but steps that cannot be built are noticed now.
        cast("Any", saga)().recovery(
            uuid.UUID(int=0),
            reader,
            container,
            storage,
            1,
            0.0,
            1.0,
            not_before=0.0,
            sleep=asyncio.sleep,
            clock=time.monotonic,
        )
        known[saga.saga_name] = KnownSaga(cast("type[Saga[Any]]", saga), context_type)
    return known


def _pairs(sagas: Any) -> list[tuple[type[Any], type[Any]]]:
    if isinstance(sagas, Mapping):
        return list(cast("Mapping[type[Any], type[Any]]", sagas).items())
    pairs: list[tuple[type[Any], type[Any]]] = []
    for saga in sagas:
        if not is_subclass(saga, Saga):
            raise ConfigurationTypeError(f"{saga!r} is no saga class")
        declared = declared_types(saga, Saga, 1)
        if declared is None or not isinstance(declared[0], type):
            raise ConfigurationTypeError(
                f"{type_name(saga)} does not tell its context: declare it as Saga[TheContext], or give the "
                "worker a SagaMap"
            )
        pairs.append((declared[0], saga))
    return pairs
