"""The public API as text: every documented import path, its names and their signatures.

``python3 dev.py api`` rewrites ``api_snapshot.txt``; the diff of that file is the change of the API.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

SNAPSHOT = Path(__file__).with_name("api_snapshot.txt")


# The import paths that applications use. What lies below them may move without notice.
DOCUMENTED = (
    "cqrs",
    "cqrs.adapters.amqp",
    "cqrs.adapters.circuit_breaker",
    "cqrs.adapters.kafka",
    "cqrs.adapters.protocol",
    "cqrs.circuit_breaker",
    "cqrs.compressors",
    "cqrs.consumers",
    "cqrs.container",
    "cqrs.container.protocol",
    "cqrs.contrib.fastapi",
    "cqrs.contrib.faststream",
    "cqrs.deadlines",
    "cqrs.deserializers",
    "cqrs.deserializers.json",
    "cqrs.deserializers.protobuf",
    "cqrs.dispatcher",
    "cqrs.dispatcher.exceptions",
    "cqrs.events",
    "cqrs.events.bootstrap",
    "cqrs.exceptions",
    "cqrs.generic_utils",
    "cqrs.http",
    "cqrs.http.flow",
    "cqrs.http.guarded.aiohttp",
    "cqrs.http.guarded.requests",
    "cqrs.http.messages",
    "cqrs.http.typing",
    "cqrs.inbox",
    "cqrs.mediator",
    "cqrs.message_brokers",
    "cqrs.message_brokers.amqp",
    "cqrs.message_brokers.devnull",
    "cqrs.message_brokers.kafka",
    "cqrs.message_brokers.memory",
    "cqrs.message_brokers.nats",
    "cqrs.message_brokers.protocol",
    "cqrs.message_brokers.receiving",
    "cqrs.message_brokers.redis",
    "cqrs.middlewares",
    "cqrs.middlewares.base",
    "cqrs.middlewares.logging",
    "cqrs.outbox",
    "cqrs.outbox.mock",
    "cqrs.producer",
    "cqrs.requests",
    "cqrs.requests.bootstrap",
    "cqrs.response",
    "cqrs.saga",
    "cqrs.saga.bootstrap",
    "cqrs.saga.circuit_breaker",
    "cqrs.saga.models",
    "cqrs.saga.recovery",
    "cqrs.saga.step",
    "cqrs.saga.storage",
    "cqrs.saga.storage.enums",
    "cqrs.saga.storage.memory",
    "cqrs.saga.storage.models",
    "cqrs.saga.storage.protocol",
    "cqrs.saga.storage.sqlalchemy",
    "cqrs.saga.worker",
    "cqrs.serializers",
    "cqrs.simulation",
    "cqrs.testing",
    "cqrs.types",
)


def all_modules() -> list[str]:
    """Return the names of all modules of the package without a leading underscore in any part."""
    package = importlib.import_module("cqrs")
    names = (module.name for module in pkgutil.walk_packages(package.__path__, "cqrs."))
    return ["cqrs", *sorted(name for name in names if not any(p.startswith("_") for p in name.split(".")))]


def public_names(module: ModuleType) -> list[str]:
    """Return ``__all__``, or what the module itself defines without a leading underscore."""
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return sorted(declared)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )


def signature(value: object) -> str:
    """Return the signature, without addresses."""
    try:
        text = str(inspect.signature(value))  # type: ignore[arg-type]  # not callable: ValueError, TypeError
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def members(cls: type) -> Iterator[str]:
    """Yield a line for each public member that ``cls`` itself defines."""
    for name, value in sorted(vars(cls).items()):
        if name.startswith("_") and name not in ("__call__", "__aenter__", "__enter__", "__getitem__"):
            continue
        if isinstance(value, property):
            yield f"        {name}: property"
        elif isinstance(value, classmethod | staticmethod):
            yield f"        {name}{signature(value.__func__)}  # {type(value).__name__}"
        elif inspect.isfunction(value):
            prefix = "async " if inspect.iscoroutinefunction(value) else ""
            yield f"        {prefix}{name}{signature(value)}"


def _told_elsewhere(value: object, here: str) -> bool:
    """Tell whether another documented module describes ``value``: its own, else the first that exports it."""
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return False
    exporters = [name for name in DOCUMENTED if name != "cqrs" and value in _values(name)]
    teller = value.__module__ if value.__module__ in exporters else next(iter(exporters), here)
    return teller != here


@functools.cache
def _values(module_name: str) -> list[object]:
    module = importlib.import_module(module_name)
    return [getattr(module, name) for name in public_names(module)]


def describe(module: ModuleType, name: str) -> Iterator[str]:
    """Yield the lines of one public name."""
    value = getattr(module, name)
    home = getattr(value, "__module__", None)
    if isinstance(value, ModuleType):
        yield f"    module {name}"
    elif _told_elsewhere(value, module.__name__) or getattr(value, "__name__", name) != name:
        yield f"    {name} = {home}.{value.__qualname__}"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        if issubclass(value, enum.Enum):
            yield f"    enum {name}: " + ", ".join(f"{m.name}={m.value!r}" for m in value)
            return
        yield f"    class {name}({bases}){signature(value)}"
        yield from members(value)
    elif inspect.isfunction(value):
        prefix = "async def" if inspect.iscoroutinefunction(value) else "def"
        yield f"    {prefix} {name}{signature(value)}"
    else:
        yield f"    {name}: {type(value).__name__}"


def snapshot() -> str:
    """Return the whole text."""
    lines: list[str] = []
    for module_name in DOCUMENTED:
        module = importlib.import_module(module_name)
        described = [line for name in public_names(module) for line in describe(module, name)]
        if described:
            lines += [module_name, *described, ""]
    return "\n".join(lines)


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot(), encoding="utf-8")
    sys.stdout.write(f"{SNAPSHOT} rewritten\n")
