"""The built-in container: what it builds, how long it lives, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Protocol

import attrs
import pytest

from cqrs.container.builtin import BuiltinContainer, Lifetime
from cqrs.container.protocol import PlanningContainer, Resolver, ScopedContainer
from cqrs.exceptions import ConfigurationError, ResolutionError


class Settings:
    pass


class Database:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Repository:
    def __init__(self, database: Database) -> None:
        self.database = database


class Handler:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository


class NoArguments:
    pass


class Port(Protocol):
    def name(self) -> str: ...


class Adapter:
    def name(self) -> str:
        return "adapter"


class PortHandler:
    def __init__(self, port: Port) -> None:
        self.port = port


def full_container() -> BuiltinContainer:
    return BuiltinContainer().register(Settings).register(Database).register(Repository)


async def test_an_unregistered_handler_gets_its_registered_dependencies() -> None:
    handler = await full_container().resolve(Handler)

    assert isinstance(handler.repository.database.settings, Settings)


async def test_an_interface_is_served_by_the_class_registered_for_it() -> None:
    handler = await BuiltinContainer().register(Port, Adapter).resolve(PortHandler)

    assert handler.port.name() == "adapter"


async def test_an_instance_is_injected_as_it_is() -> None:
    settings = Settings()
    container = BuiltinContainer().register_instance(Settings, settings).register(Database)

    assert (await container.resolve(Database)).settings is settings


async def test_a_transient_dependency_is_new_each_time() -> None:
    container = full_container()

    first, second = await container.resolve(Handler), await container.resolve(Handler)

    assert first.repository is not second.repository


async def test_a_singleton_is_shared_by_scopes_and_plain_factories() -> None:
    container = BuiltinContainer().register(Settings, lifetime=Lifetime.SINGLETON).register(Database)
    factory = container.factory_for(Database)
    assert factory is not None

    async with container.scope() as scope:
        assert (await scope.resolve(Database)).settings is factory().settings


# ------------------------------------------------------------------------------------ the fast path


def test_the_factory_of_a_class_without_arguments_is_the_class() -> None:
    assert BuiltinContainer().factory_for(NoArguments) is NoArguments


def test_a_plain_factory_builds_the_whole_tree_without_awaiting() -> None:
    factory = full_container().factory_for(Handler)

    assert factory is not None
    assert isinstance(factory().repository.database.settings, Settings)


class Session:
    pass


async def open_settings() -> Settings:
    return Settings()


def generate_settings() -> Iterator[Settings]:
    yield Settings()


async def generate_settings_async() -> AsyncIterator[Settings]:
    yield Settings()


@pytest.mark.parametrize(
    ("provider", "lifetime"),
    [
        (Settings, Lifetime.SCOPED),
        (open_settings, Lifetime.TRANSIENT),
        (open_settings, Lifetime.SINGLETON),
        (generate_settings, Lifetime.TRANSIENT),
        (generate_settings_async, Lifetime.SCOPED),
    ],
)
async def test_a_type_that_needs_a_scope_or_an_await_has_no_plain_factory(
    provider: Any, lifetime: Lifetime
) -> None:
    container = BuiltinContainer().register(Settings, provider, lifetime=lifetime).register(Database)

    assert container.factory_for(Database) is None
    async with container.scope() as scope:
        assert isinstance((await scope.resolve(Database)).settings, Settings)


def test_the_container_satisfies_the_protocols() -> None:
    container = BuiltinContainer()

    assert isinstance(container, Resolver)
    assert isinstance(container, ScopedContainer)
    assert isinstance(container, PlanningContainer)


# ------------------------------------------------------------------------------------ constructors


class WithDefaults:
    def __init__(
        self, settings: Settings | None = None, size: int = 3, *, name: str = "x", **rest: Any
    ) -> None:
        self.settings, self.size, self.name, self.rest = settings, size, name, rest


async def test_defaults_stay_where_nothing_is_registered() -> None:
    built = await BuiltinContainer().resolve(WithDefaults)

    assert (built.settings, built.size, built.name, built.rest) == (None, 3, "x", {})


async def test_a_registered_type_is_injected_in_spite_of_a_default() -> None:
    built = await BuiltinContainer().register(Settings).register_instance(str, "y").resolve(WithDefaults)

    assert isinstance(built.settings, Settings)
    assert (built.size, built.name) == (3, "y")


@dataclasses.dataclass
class DataclassHandler:
    settings: Settings


@attrs.define
class AttrsHandler:
    settings: Settings


@pytest.mark.parametrize("handler", [DataclassHandler, AttrsHandler])
async def test_generated_constructors_are_injected_too(handler: Any) -> None:
    built = await BuiltinContainer().register(Settings).resolve(handler)

    assert isinstance(built.settings, Settings)


Dsn = Annotated[str, "dsn"]


class WithAnnotated:
    def __init__(self, dsn: Dsn, /, settings: Annotated[Settings, "anything"], *, port: Port) -> None:
        self.dsn, self.settings, self.port = dsn, settings, port


async def test_annotated_types_are_keys_of_their_own() -> None:
    container = BuiltinContainer().register_instance(Dsn, "db://").register(Settings).register(Port, Adapter)

    built = await container.resolve(WithAnnotated)

    assert built.dsn == "db://"
    assert isinstance(built.settings, Settings)
    assert isinstance(built.port, Adapter)


class CallableFactory:
    async def __call__(self, settings: Settings) -> Database:
        return Database(settings)


@pytest.mark.parametrize("provider", [CallableFactory(), functools.partial(CallableFactory().__call__)])
async def test_callable_objects_and_partial_functions_are_factories(provider: Any) -> None:
    container = BuiltinContainer().register(Settings).register(Database, provider)

    async with container.scope() as scope:
        assert isinstance(await scope.resolve(Database), Database)


# ------------------------------------------------------------------------------------ errors


async def test_a_missing_registration_names_the_types_that_led_there() -> None:
    container = BuiltinContainer().register(Database).register(Repository)

    with pytest.raises(
        ResolutionError, match=r"Handler -> Repository -> Database -> Settings: nothing is reg"
    ):
        await container.resolve(Handler)


async def test_a_plan_that_failed_succeeds_after_the_registration() -> None:
    container = BuiltinContainer().register(Database).register(Repository)
    with pytest.raises(ResolutionError):
        container.factory_for(Handler)

    container.register(Settings)

    assert isinstance(await container.resolve(Handler), Handler)


class Chicken:
    def __init__(self, egg: Egg) -> None: ...


class Egg:
    def __init__(self, chicken: Chicken) -> None: ...


def test_a_cycle_is_found_before_anything_is_built() -> None:
    container = BuiltinContainer().register(Chicken).register(Egg)

    with pytest.raises(ResolutionError, match="need each other: Chicken -> Egg -> Chicken"):
        container.factory_for(Chicken)


class Untyped:
    def __init__(self, thing) -> None: ...  # type: ignore[no-untyped-def]


class Undefined:
    def __init__(self, thing: NotDefinedAnywhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Abstract(ABC):
    @abstractmethod
    def handle(self) -> None: ...


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (Untyped, "parameter 'thing' of Untyped has neither an annotation nor a default"),
        (Undefined, "NotDefinedAnywhere"),
        (Abstract, "Abstract is abstract: it does not implement handle"),
        (Port, "nothing is registered for Port"),
        (int, "nothing is registered for int"),
    ],
)
async def test_what_cannot_be_built_is_said_clearly(type_: Any, message: str) -> None:
    with pytest.raises(ResolutionError, match=message):
        await BuiltinContainer().resolve(type_)


def test_validate_names_every_problem_and_builds_nothing() -> None:
    def explode() -> Settings:
        raise AssertionError("built")

    container = BuiltinContainer().register(Settings, explode).register(Database)

    container.validate([Database])
    with pytest.raises(ResolutionError, match=r"(?s)Handler -> Repository.*Port"):
        container.validate([Handler, PortHandler, Database])


def test_a_singleton_may_not_keep_what_lives_in_a_scope() -> None:
    container = (
        BuiltinContainer()
        .register(Settings, lifetime=Lifetime.SCOPED)
        .register(Database)
        .register(Repository, lifetime=Lifetime.SINGLETON)
    )

    with pytest.raises(ResolutionError, match="Repository is a singleton but needs Settings"):
        container.validate([Handler])


async def test_a_constructors_own_error_crosses_unchanged() -> None:
    error = ConnectionError("down")

    def fail() -> Settings:
        raise error

    container = BuiltinContainer().register(Settings, fail).register(Database)
    factory = container.factory_for(Database)
    assert factory is not None

    with pytest.raises(ConnectionError) as raised:
        factory()
    assert raised.value is error
    async with container.scope() as scope:
        with pytest.raises(ConnectionError) as raised:
            await scope.resolve(Database)
    assert raised.value is error


def test_a_type_that_is_in_use_cannot_be_registered_again() -> None:
    container = full_container()
    container.factory_for(WithDefaults)
    container.factory_for(Handler)

    with pytest.raises(ConfigurationError, match="Database is already in use"):
        container.register(Database)


def test_a_type_whose_default_was_used_cannot_be_registered_any_more() -> None:
    container = BuiltinContainer()
    container.factory_for(WithDefaults)

    with pytest.raises(ConfigurationError, match="Settings is already in use"):
        container.register(Settings)


async def test_a_copy_can_be_changed_and_shares_no_singletons() -> None:
    container = BuiltinContainer().register(Settings, lifetime=Lifetime.SINGLETON).register(Database)
    original = await container.resolve(Database)

    fake = Settings()
    copied = container.copy().register_instance(Settings, fake)

    assert (await copied.resolve(Database)).settings is fake
    assert (await container.copy().resolve(Settings)) is not original.settings


def test_a_provider_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="use register_instance"):
        BuiltinContainer().register(Settings, Settings())  # type: ignore[arg-type]


async def test_without_a_scope_scoped_types_are_refused() -> None:
    container = BuiltinContainer().register(Session, lifetime=Lifetime.SCOPED)

    with pytest.raises(ResolutionError, match=r"Session needs a scope: .*container\.scope\(\)"):
        await container.resolve(Session)


async def test_a_factory_that_asks_for_itself_is_told_instead_of_waiting_for_ever() -> None:
    container = BuiltinContainer()

    async def ask() -> Settings:
        return await container.resolve(Settings)

    container.register(Settings, ask, lifetime=Lifetime.SINGLETON)

    with pytest.raises(ResolutionError, match="Settings asks for itself"):
        await container.resolve(Settings)


def test_a_plain_singleton_that_asks_for_itself_is_told() -> None:
    container = BuiltinContainer()

    def ask() -> Settings:
        factory = container.factory_for(Settings)
        assert factory is not None
        return factory()

    container.register(Settings, ask, lifetime=Lifetime.SINGLETON)
    factory = container.factory_for(Settings)
    assert factory is not None

    with pytest.raises(ResolutionError, match="Settings asks for itself"):
        factory()


async def test_plans_keep_no_instances_alive() -> None:
    container = full_container()
    handler = await container.resolve(Handler)
    reference = weakref.ref(handler)

    del handler
    gc.collect()

    assert reference() is None


# ------------------------------------------------------------------------------------ concurrency


async def test_an_async_singleton_is_built_once_for_a_hundred_tasks() -> None:
    built: list[Settings] = []
    gate = asyncio.Event()

    async def build() -> Settings:
        built.append(Settings())
        await gate.wait()
        return built[-1]

    container = BuiltinContainer().register(Settings, build, lifetime=Lifetime.SINGLETON)
    tasks = [asyncio.create_task(container.resolve(Settings)) for _ in range(100)]
    await asyncio.sleep(0)
    gate.set()

    assert {id(found) for found in await asyncio.gather(*tasks)} == {id(built[0])}
    assert len(built) == 1


async def test_tasks_that_wait_for_a_singleton_share_its_failure_and_the_next_one_tries_again() -> None:
    attempts = 0
    gate = asyncio.Event()

    async def build() -> Settings:
        nonlocal attempts
        attempts += 1
        await gate.wait()
        if attempts == 1:
            raise ConnectionError("down")
        return Settings()

    container = BuiltinContainer().register(Settings, build, lifetime=Lifetime.SINGLETON)
    tasks = [asyncio.create_task(container.resolve(Settings)) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, ConnectionError) for outcome in outcomes)
    assert attempts == 1
    assert isinstance(await container.resolve(Settings), Settings)


async def test_when_the_building_task_is_cancelled_another_one_takes_over() -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    attempts = 0
    gate = asyncio.Event()

    async def build() -> Settings:
        nonlocal attempts
        attempts += 1
        await gate.wait()
        return Settings()

    container = BuiltinContainer().register(Settings, build, lifetime=Lifetime.SINGLETON)
    first, second, third = (asyncio.create_task(container.resolve(Settings)) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    third.cancel()
    gate.set()

    assert isinstance(await second, Settings)
    assert attempts == 2
    assert {type(outcome) for outcome in await asyncio.gather(first, third, return_exceptions=True)} == {
        asyncio.CancelledError
    }
    await asyncio.sleep(0)
    assert problems == []


def test_an_async_singleton_serves_one_event_loop_after_another() -> None:
    container = BuiltinContainer().register(Settings, open_settings, lifetime=Lifetime.SINGLETON)

    first = asyncio.run(container.resolve(Settings))

    assert asyncio.run(container.resolve(Settings)) is first


def test_an_async_singleton_is_built_once_for_event_loops_in_two_threads() -> None:
    started, release = threading.Event(), threading.Event()
    built: list[Settings] = []
    results: list[Settings] = []

    async def build() -> Settings:
        built.append(Settings())
        started.set()
        await asyncio.to_thread(release.wait, 10)
        return built[-1]

    container = BuiltinContainer().register(Settings, build, lifetime=Lifetime.SINGLETON)

    def run(after: threading.Event | None) -> None:
        if after is not None:
            after.wait(10)

        async def ask() -> None:
            task = asyncio.create_task(container.resolve(Settings))
            await asyncio.sleep(0)
            if after is not None:
                release.set()
            results.append(await task)

        asyncio.run(ask())

    threads = [threading.Thread(target=run, args=(after,)) for after in (None, started)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(built) == 1
    assert results == [built[0], built[0]]


def test_a_plain_singleton_is_built_once_for_many_threads() -> None:
    barrier = threading.Barrier(8)
    built: list[object] = []
    results: list[object] = []

    class Slow:
        def __init__(self) -> None:
            built.append(self)
            entered.set()
            release.wait(10)

    entered, release = threading.Event(), threading.Event()
    container = BuiltinContainer().register(Slow, lifetime=Lifetime.SINGLETON)

    def run() -> None:
        barrier.wait(10)
        factory = container.factory_for(Slow)
        assert factory is not None
        results.append(factory())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert entered.wait(10)
    release.set()
    for thread in threads:
        thread.join(20)

    assert len(built) == 1
    assert results == built * 8
