"""The adapter for the dependency-injector library."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dependency_injector import containers, providers

from cqrs.container.dependency_injector import DependencyInjectorCQRSContainer
from cqrs.container.protocol import Container
from cqrs.exceptions import ResolutionError


class Port(ABC):
    @abstractmethod
    def name(self) -> str: ...


class Adapter(Port):
    def __init__(self, label: str = "adapter") -> None:
        self.label = label

    def name(self) -> str:
        return self.label


class Settings:
    pass


class Handler:
    def __init__(self, port: Port, settings: Settings, size: int = 3) -> None:
        self.port, self.settings, self.size = port, settings, size


class Pool:
    closed = False


async def open_pool() -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    pool.closed = True


class PoolHandler:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Inner(containers.DeclarativeContainer):
    settings = providers.Object(Settings())


class Application(containers.DeclarativeContainer):
    config = providers.Configuration()
    inner = providers.Container(Inner)
    adapter = providers.Singleton(Adapter)
    pool = providers.Resource(open_pool)


def wrap(container: Any) -> DependencyInjectorCQRSContainer:
    return DependencyInjectorCQRSContainer(container)


def test_it_satisfies_the_protocol() -> None:
    assert isinstance(DependencyInjectorCQRSContainer(), Container)


async def test_a_handler_without_a_provider_is_built_from_the_providers_of_its_arguments() -> None:
    container = wrap(Application())

    first, second = await container.resolve(Handler), await container.resolve(Handler)

    assert first is not second
    assert first.port is second.port
    assert isinstance(first.settings, Settings)
    assert first.size == 3


async def test_a_provider_of_the_handler_itself_comes_first() -> None:
    external = Application()
    external.set_provider("handler", providers.Factory(Handler, external.adapter, Settings(), size=7))

    assert (await wrap(external).resolve(Handler)).size == 7


async def test_an_override_is_followed() -> None:
    external = Application()
    container = wrap(external)

    with external.adapter.override(providers.Object(Adapter("fake"))):
        assert (await container.resolve(Port)).name() == "fake"  # type: ignore[type-abstract]
    assert (await container.resolve(Port)).name() == "adapter"  # type: ignore[type-abstract]


async def test_an_async_generator_resource_is_opened_once_and_closed_by_the_library() -> None:
    external = Application()
    container = wrap(external)

    first, second = await container.resolve(PoolHandler), await container.resolve(PoolHandler)

    assert first.pool is second.pool
    assert not first.pool.closed
    shutdown = external.shutdown_resources()
    assert shutdown is not None
    await shutdown
    assert first.pool.closed


async def test_a_missing_provider_is_a_resolution_error_that_names_the_way() -> None:
    with pytest.raises(ResolutionError, match="Handler -> Port: no provider"):
        await DependencyInjectorCQRSContainer().resolve(Handler)


async def test_an_abstract_class_without_provider_is_a_resolution_error() -> None:
    with pytest.raises(ResolutionError, match="gives Port, and it is abstract"):
        await DependencyInjectorCQRSContainer().resolve(Port)  # type: ignore[type-abstract]


async def test_two_providers_of_one_type_are_refused_by_name() -> None:
    external = Application()
    external.set_provider("other", providers.Factory(Adapter, "other"))

    with pytest.raises(ResolutionError, match="several providers give Port: adapter, other"):
        await wrap(external).resolve(Handler)


class Undefined:
    def __init__(self, thing: NotDefinedAnywhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Untyped:
    def __init__(self, thing) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("type_", "message"), [(Undefined, "NotDefinedAnywhere"), (Untyped, "'thing' has no ann")]
)
async def test_a_handler_whose_parameters_say_nothing_is_a_resolution_error(type_: Any, message: str) -> None:
    with pytest.raises(ResolutionError, match=message):
        await DependencyInjectorCQRSContainer().resolve(type_)


async def test_an_undefined_dependency_is_a_resolution_error() -> None:
    external = containers.DynamicContainer()
    external.set_provider("port", providers.Dependency(instance_of=Port))

    with pytest.raises(ResolutionError, match="not defined") as raised:
        await wrap(external).resolve(Port)  # type: ignore[type-abstract]
    assert raised.value.__cause__ is not None


async def test_a_constructors_own_error_crosses_unchanged() -> None:
    error = ConnectionError("down")

    def fail() -> Pool:
        raise error

    external = containers.DynamicContainer()
    external.set_provider("pool", providers.Callable(fail))

    with pytest.raises(ConnectionError) as raised:
        await wrap(external).resolve(PoolHandler)
    assert raised.value is error


async def test_another_container_can_be_attached() -> None:
    container, external = DependencyInjectorCQRSContainer(), Application()

    container.attach_external_container(external)

    assert container.external_container is external
    assert isinstance(await container.resolve(Handler), Handler)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dependency_injector", None)

    with pytest.raises(ImportError, match=r"pip install 'holdfast\[dependency-injector\]'"):
        DependencyInjectorCQRSContainer()
