"""Where the store's own clients come from: a URL, a client of the application, or a factory.

The application's client is only looked at; its connections and its event loop are never used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.redis import urls
from cqrs.circuit_breaker.redis.makers import LIBRARIES, Maker, installed
from cqrs.exceptions import ConfigurationError

# What a connection is told; all else of the application's client is its own business.
_KEPT = frozenset(
    {
        "client_name",
        "credential_provider",
        "db",
        "host",
        "password",
        "path",
        "port",
        "socket_keepalive_options",
        "username",
    }
)
# Of a connection class of the application: objects that belong to the client they were made for.
_NOT_SHARED = frozenset(
    {
        "connection_pool",
        "event_dispatcher",
        "himport_registry",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "response_callbacks",
        "retry_on_error",
        "retry_on_timeout",
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where clients come from.

    Attributes:
        shown: address for people, without a password.
        library: ``"redis"`` or ``"valkey"``, the package whose errors the clients raise.
        cluster: whether the clients are of a cluster; ``None``: only the factory knows.
        make: makes a client; called in the loop that will use it.
        secrets: passwords, to be kept out of texts.
    """

    shown: str
    library: str
    cluster: bool | None
    make: Callable[[], Any] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def source(target: object, connect_timeout: float) -> Source:
    """Return where the clients for a URL, a client or a factory come from.

    Raises:
        ConfigurationError: it is none of these, or the URL is wrong.
        ImportError: neither redis nor valkey is installed.
    """
    if isinstance(target, str):
        return _of_url(urls.parse(target), connect_timeout)
    if hasattr(target, "nodes_manager"):
        return _of_cluster(target, connect_timeout)
    if hasattr(target, "connection_pool"):
        return _of_client(target, connect_timeout)
    if callable(target):
        return _of_factory(target)
    raise ConfigurationError(
        "a RedisStore needs a URL, a client of redis-py or valkey-py (sync or asyncio), or a function "
        f"without arguments that returns an asyncio client; got {type(target).__name__}"
    )


def subscriber(client: Any, node: Any, library: str, connect_timeout: float) -> Any:
    """Return a client for one node of a cluster: what is published anywhere is heard at every node."""
    maker = Maker(library, connect_timeout)
    known = client.connection_kwargs
    options = _kept(known, known["connection_class"]) | {"host": node.host, "port": node.port}
    return maker.single(known["connection_class"], maker.settings(options))


def _of_url(address: urls.Address, connect_timeout: float) -> Source:
    maker = Maker(installed(), connect_timeout)
    options, tls = dict(address.options), address.tls

    def make() -> Any:
        if address.kind == "sentinel":
            own = dict(address.sentinel)
            if tls:
                own |= {"ssl": True} | {key: options[key] for key in options if key.startswith("ssl_")}
            return maker.sentinel(address.hosts, address.service, tls, options, own)
        if address.kind == "cluster":
            return maker.cluster(address.hosts, tls, options)
        if address.path:
            place: dict[str, Any] = {"path": address.path}
        else:
            place = dict(zip(("host", "port"), address.hosts[0], strict=True))
        chosen = maker.connection_class(tls=tls, unix=bool(address.path))
        return maker.single(chosen, maker.settings(options | place))

    secrets = _secrets(options, address.sentinel)
    return Source(address.shown, maker.library, address.kind == "cluster", make, secrets)


def _of_client(client: Any, connect_timeout: float) -> Source:
    pool = client.connection_pool
    known: object = getattr(pool, "connection_kwargs", None)
    chosen: type[Any] | None = getattr(pool, "connection_class", None)
    if not isinstance(known, dict) or not isinstance(chosen, type):
        raise ConfigurationError(f"{type(client).__name__} is not a client of redis-py or valkey-py")
    library, is_asyncio = _family(chosen)
    maker = Maker(library, connect_timeout)
    kwargs = dict(cast("dict[str, Any]", known))
    if hasattr(pool, "sentinel_manager"):
        return _of_sentinel(pool, maker, kwargs)
    place = kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
    names = {base.__name__ for base in chosen.__mro__}
    plain = chosen.__module__ in (f"{library}.connection", f"{library}.asyncio.connection")
    if plain:
        own = maker.connection_class(tls="SSLConnection" in names, unix="UnixDomainSocketConnection" in names)
        options = _kept(kwargs, own)
        return Source(
            place, library, False, lambda: maker.single(own, maker.settings(options)), _secrets(kwargs)
        )
    if not is_asyncio:
        raise ConfigurationError(
            f"connections of class {chosen.__qualname__} are not known to work with asyncio: "
            "give the RedisStore a function without arguments that returns an asyncio client"
        )
    same = {key: value for key, value in kwargs.items() if key not in _NOT_SHARED}
    return Source(
        place, library, False, lambda: maker.single(chosen, same | maker.timeouts()), _secrets(kwargs)
    )


def _of_sentinel(pool: Any, maker: Maker, kwargs: dict[str, Any]) -> Source:
    manager, service = pool.sentinel_manager, pool.service_name
    tls = any(base.__name__ == "SSLConnection" for base in pool.connection_class.__mro__)
    found: list[dict[str, Any]] = [each.connection_pool.connection_kwargs for each in manager.sentinels]
    hosts = [(each["host"], int(each["port"])) for each in found]
    chosen = maker.connection_class(tls=tls, unix=False)
    options = _kept(kwargs, chosen, without=("host", "port"))
    own = _kept(dict(manager.sentinel_kwargs), chosen)
    if manager.sentinel_kwargs.get("ssl"):
        own["ssl"] = True
    shown = f"{service} by the sentinels {', '.join(f'{host}:{port}' for host, port in hosts)}"

    def make() -> Any:
        return maker.sentinel(hosts, service, tls, options, own, manager.min_other_sentinels)

    return Source(shown, maker.library, False, make, _secrets(kwargs, own))


def _of_cluster(client: Any, connect_timeout: float) -> Source:
    library, _ = _family(client.__class__)
    manager = client.nodes_manager
    kwargs: dict[str, Any] = dict(getattr(client, "connection_kwargs", None) or manager.connection_kwargs)
    found: dict[str, Any] = {**manager.startup_nodes, **manager.nodes_cache}
    hosts = [(node.host, int(node.port)) for node in found.values()]
    chosen: type[Any] | None = kwargs.get("connection_class")
    names = {base.__name__ for base in chosen.__mro__} if chosen is not None else set[str]()
    tls = "SSLConnection" in names or bool(kwargs.get("ssl"))
    maker = Maker(library, connect_timeout)
    options = _kept(kwargs, maker.client_class("Cluster"), without=("host", "port", "path", "db"))
    shown = f"the cluster of {', '.join(f'{host}:{port}' for host, port in hosts[:3])}"
    return Source(shown, library, True, lambda: maker.cluster(hosts, tls, options), _secrets(kwargs))


def _of_factory(factory: Callable[[], Any]) -> Source:
    name = getattr(factory, "__qualname__", type(factory).__name__)
    try:
        inspect.signature(factory).bind()
    except TypeError:
        raise ConfigurationError(
            f"the client factory {name} must take no arguments, and return an asyncio client"
        ) from None
    except ValueError:
        pass  # a builtin does not tell
    if validation.is_async(factory):
        raise ConfigurationError(f"the client factory {name} must be a plain function, not an async one")

    def make() -> Any:
        client = factory()
        if not inspect.iscoroutinefunction(getattr(client, "execute_command", None)):
            raise ConfigurationError(
                f"the client factory {name} returned {type(client).__name__}, not an asyncio client"
            )
        return client

    return Source(f"what {name} returns", installed(), None, make)


def _family(chosen: type) -> tuple[str, bool]:
    """Return the library that a class is from or derived from, and whether it is for asyncio."""
    modules = [base.__module__ for base in chosen.__mro__]
    for library in LIBRARIES:
        if any(module.split(".")[0] == library for module in modules):
            return library, any(module.startswith(f"{library}.asyncio") for module in modules)
    raise ConfigurationError(f"{chosen.__qualname__} is neither of redis-py nor of valkey-py")


def _kept(kwargs: dict[str, Any], chosen: type, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the arguments that say where and as whom to connect, as far as ``chosen`` takes them."""
    taken = {name for base in chosen.__mro__ for name in inspect.signature(base).parameters}
    wanted = {key for key in kwargs if key in _KEPT or key.startswith("ssl_")} & taken
    return {key: kwargs[key] for key in wanted if kwargs[key] is not None and key not in without}


def _secrets(*options: dict[str, Any]) -> tuple[str, ...]:
    names = ("password", "ssl_password")
    return tuple(str(each[name]) for each in options for name in names if each.get(name))
