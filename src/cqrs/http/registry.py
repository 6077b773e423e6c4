"""What clients there are: their services, resources, and the contract of each verb."""

from __future__ import annotations

import importlib
import pkgutil
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, Union

from pydantic import BaseModel, Field, TypeAdapter

from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.http.collections import CollectionParser
from cqrs.http.errors import UnregisteredClientError
from cqrs.http.models import Request, plan_of

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

Contract: TypeAlias = Mapping[str, tuple[Any, Any]]
"""By verb: the model of the request, and that of the answer, or ``None``; of a union the first that fits."""


@dataclass(frozen=True, slots=True)
class Route:
    """One verb of a resource.

    Attributes:
        verb: in upper case.
        requests: models of the parameters; the first that fits is taken.
        response: model of the answer, or a union; ``None``: whatever JSON comes.
        reader: makes the model of the answer; ``None`` without one.
    """

    verb: str
    requests: tuple[type[Request], ...]
    response: Any
    reader: TypeAdapter[Any] | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path template and what may be called there."""

    path: str
    routes: Mapping[str, Route]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a client: itself, its collection, or both."""

    name: str
    one: Endpoint | None
    many: Endpoint | None
    parser: type[CollectionParser] | None


class Registry:
    """Clients and their resources.

    One client name is bound to one service in one version.
    """

    def __init__(self) -> None:
        self.services: dict[str, tuple[str, str | None]] = {}
        self.clients: dict[str, dict[str, Resource]] = {}

    def register(
        self,
        client_name: str,
        resource: str,
        service: str,
        version: str | None,
        path: str | None = None,
        contract: Contract | None = None,
        collection_path: str | None = None,
        collection_contract: Contract | None = None,
        collection_parser: type[CollectionParser] | None = None,
    ) -> None:
        """Add a resource to a client.

        Args:
            client_name: name of the client, as the factory is asked for it.
            resource: name of the resource, an identifier: ``client.<resource>``.
            service: name of the service, as discovery knows it.
            version: its version, ``None`` for an unversioned service.
            path: template of the path of one: ``"/users/{username}"``.
            contract: by verb, ``(model of the request, model of the answer or None)``; unions are allowed.
            collection_path: template of the path of all: ``"/users"``.
            collection_contract: likewise, for ``collection_get`` and so on.
            collection_parser: finds the items in an answer; the factory's when ``None``.

        Raises:
            ConfigurationError: a name is missing or no identifier, the client has another service, the
                resource is registered already, or a contract is not of the described form.
        """
        for what, name in (("client_name", client_name), ("resource", resource), ("service", service)):
            if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationTypeError(f"{what} must be a text of at least one character, not {name!r}")
        if not resource.isidentifier() or resource.startswith("_") or resource in ("name", "resource"):
            raise ConfigurationError(
                f"client {client_name!r}: {resource!r} cannot be the name of a resource: it is used as"
                " client.<name>, so it must be an identifier, without an underscore at the front, and not"
                " 'name' or 'resource'"
            )
        where = f"client {client_name!r}, resource {resource!r}"
        bound = self.services.get(client_name, (service, version))
        if bound != (service, version):
            raise ConfigurationError(
                f"client {client_name!r} is bound to service {_named(*bound)} already, and cannot be bound to"
                f" {_named(service, version)} as well: give that one a client name of its own"
            )
        if resource in self.clients.get(client_name, {}):
            raise ConfigurationError(f"{where} is registered already")
        one = _endpoint(where, "path", path, contract)
        many = _endpoint(where, "collection_path", collection_path, collection_contract)
        if one is None and many is None:
            raise ConfigurationError(
                f"{where}: give a path with a contract, a collection_path with one, or both"
            )
        self.services[client_name] = bound
        self.clients.setdefault(client_name, {})[resource] = Resource(resource, one, many, collection_parser)

    def resources_of(self, client_name: str) -> Mapping[str, Resource]:
        """Return the resources of a client by name.

        Raises:
            UnregisteredClientError: there is no such client.
        """
        found = self.clients.get(client_name)
        if found is None:
            known = ", ".join(sorted(self.clients)) or "none"
            raise UnregisteredClientError(
                f"no client {client_name!r} is registered (registered: {known}); were the modules that"
                " register it imported? scan() does that"
            )
        return found


registry = Registry()
"""Where ``register`` registers."""

register = registry.register


def scan(*packages: str | types.ModuleType) -> None:
    """Import packages with all their modules, so that what they register is registered.

    Raises:
        ImportError: a module cannot be imported; the error is its own.
    """
    for given in packages:
        package = importlib.import_module(given) if isinstance(given, str) else given
        path = getattr(package, "__path__", None)
        if path is None:
            continue  # a module, imported now
        for found in pkgutil.walk_packages(path, f"{package.__name__}.", onerror=_raise):
            importlib.import_module(found.name)


def _raise(name: str) -> None:
    importlib.import_module(name)  # fails again, with its own error


def _named(service: str, version: str | None) -> str:
    return repr(service) if version is None else f"{service!r} {version}"


def _endpoint(where: str, name: str, path: str | None, contract: Contract | None) -> Endpoint | None:
    if (path is None) != (contract is None):
        other = name.replace("path", "contract")
        raise ConfigurationError(f"{where}: {name} and {other} belong together, and one of them is missing")
    if path is None or contract is None:
        return None
    if not path.startswith("/"):
        raise ConfigurationError(f"{where}: {name} {path!r} must begin with a slash")
    routes: dict[str, Route] = {}
    for verb, given in contract.items():
        if verb.upper() in routes:
            raise ConfigurationError(f"{where}: {name.replace('path', 'contract')} has {verb.upper()} twice")
        routes[verb.upper()] = _route(f"{where}, {verb}", verb.upper(), given)
    return Endpoint(path, routes)


def _route(where: str, verb: str, given: Any) -> Route:
    if verb not in VERBS:
        raise ConfigurationError(f"{where}: there is no such verb; there are {', '.join(VERBS)}")
    pair: tuple[Any, ...] = given if isinstance(given, tuple) else ()  # pyright: ignore[reportUnknownVariableType]
    if len(pair) != 2:
        raise ConfigurationTypeError(
            f"{where}: a contract is (model of the request, model of the answer or None), not {given!r}"
        )
    request, response = pair
    requests = members(request)
    for model in requests:
        if not (isinstance(model, type) and issubclass(model, Request)):
            raise ConfigurationTypeError(
                f"{where}: the model of the request must be a Request, not {model!r}"
            )
        plan_of(model)  # refuses a field without a place
    for model in members(response):
        if (
            model is not type(None)
            and model is not None
            and not (isinstance(model, type) and issubclass(model, BaseModel))
        ):
            raise ConfigurationTypeError(
                f"{where}: the model of the answer must be a Response, not {model!r}"
            )
    reader = None if response is None else TypeAdapter[Any](_in_order(response))
    return Route(verb, requests, response, reader)


def _in_order(response: Any) -> Any:
    """Return a union as one whose first member that fits is taken; annotated, it is as its author says."""
    if typing.get_origin(response) not in (Union, types.UnionType):
        return response
    given = typing.get_args(response)
    models = tuple(each for each in given if each is not type(None))
    if len(models) < 2:
        return response
    union: Any = Union
    ordered = typing.Annotated[union[models], Field(union_mode="left_to_right")]
    return ordered if len(models) == len(given) else union[ordered, None]


def members(model: Any) -> tuple[Any, ...]:
    """Return the members of a union, annotated or not, or the model alone."""
    origin = typing.get_origin(model)
    if origin is typing.Annotated:
        return members(typing.get_args(model)[0])
    if origin in (Union, types.UnionType):
        return tuple(member for each in typing.get_args(model) for member in members(each))
    return (model,)
