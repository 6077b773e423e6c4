"""``import cqrs`` is cheap, and its names are found where they are defined."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import cqrs
import cqrs.container
import cqrs.events
import cqrs.requests

LAZY_PACKAGES = [cqrs, cqrs.requests, cqrs.events, cqrs.container]

EXTRAS = {
    "aiobreaker",
    "aiohttp",
    "aiokafka",
    "aio_pika",
    "attrs",
    "dependency_injector",
    "di",
    "dishka",
    "fastapi",
    "httpx",
    "httpx2",
    "interlock",
    "msgspec",
    "nats",
    "prometheus_client",
    "purgatory",
    "redis",
    "rich",
    "sqlalchemy",
    "starlette",
    "uvicorn",
}


def modules_after(statement: str) -> set[str]:
    """Return what a fresh interpreter has imported after ``statement``."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    # -P: the working directory must not lend its modules to the measurement.
    output = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return set(json.loads(output))


def test_import_cqrs_imports_nothing_but_itself_and_the_standard_library() -> None:
    bare = modules_after("pass")
    loaded = modules_after("import cqrs") - bare
    foreign = {name for name in loaded if name.partition(".")[0] not in {*sys.stdlib_module_names, "cqrs"}}

    assert foreign == set()
    assert {name for name in loaded if name.startswith("cqrs.")} <= {"cqrs._lazy", "cqrs._version"}


# Names that are nothing without their extra; they need it, and so does ``from cqrs import *``.
OF_EXTRAS = {
    "InboxProcessor",
    "OutboxRelay",
    "SqlAlchemyInboxRepository",
    "SqlAlchemyOutboxedEventRepository",
    "rebind_outbox_model",
}


def test_every_name_together_loads_no_extra_beyond_pydantic() -> None:
    loaded = modules_after(f"import cqrs\nfor name in {{*cqrs.__all__}} - {OF_EXTRAS}: getattr(cqrs, name)")

    assert {name for name in loaded if name in EXTRAS} == set()


def test_using_a_message_loads_neither_containers_nor_dispatchers() -> None:
    loaded = modules_after("import cqrs\ncqrs.Request, cqrs.Response, cqrs.DCEvent")

    assert not {
        name for name in loaded if name.startswith(("cqrs.dispatcher", "cqrs.mediator", "cqrs.container"))
    }


@pytest.mark.parametrize("package", LAZY_PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_exists_and_comes_from_the_module_in_the_table(package: Any) -> None:
    for name, module in package._EXPORTS.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", LAZY_PACKAGES, ids=lambda package: package.__name__)
def test_public_names_are_listed(package: ModuleType) -> None:
    public = [name for name in package.__all__ if name != "__version__"]

    assert set(public) <= set(dir(package))
    assert public == sorted(public)


@pytest.mark.parametrize("package", LAZY_PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_see_the_same_names_as_the_table(package: Any) -> None:
    source = importlib.util.find_spec(package.__name__)
    assert source is not None
    assert source.origin is not None
    with open(source.origin, encoding="utf-8") as file:
        block = file.read().partition("if TYPE_CHECKING:")[2].partition("_EXPORTS")[0]

    for name, module in package._EXPORTS.items():
        assert f"import {name} as {name}" in block or f"    {name} as {name}," in block
        assert module in block


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cqrs' has no attribute 'Nonsense'"):
        cqrs.Nonsense  # type: ignore[attr-defined]


def test_the_version_is_told() -> None:
    assert cqrs.__version__
    assert "__version__" in cqrs.__all__


@pytest.mark.parametrize(
    "module",
    [
        "cqrs.requests.request",
        "cqrs.response",
        "cqrs.events.event",
        "cqrs.generic_utils",
        "cqrs.types",
        "cqrs.message_brokers.protocol",
        "cqrs.message_brokers.devnull",
        "cqrs.container.protocol",
        "cqrs.container.builtin",
        "cqrs.container.di",
        "cqrs.container.dependency_injector",
        "cqrs.container.dishka",
    ],
)
def test_each_module_can_be_imported_first(module: str) -> None:
    assert module in modules_after(f"import {module}")
