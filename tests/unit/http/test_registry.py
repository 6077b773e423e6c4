"""Registering clients, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cqrs.exceptions import ConfigurationError
from cqrs.http import (
    HTTPClientError,
    PathInfoField,
    PostBodyField,
    Registry,
    Request,
    Response,
    UnregisteredClientError,
    register,
    scan,
)
from cqrs.http.registry import registry as default_registry


class Get(Request):
    name: str = PathInfoField()


class Item(Response):
    name: str


def test_several_resources_of_one_service() -> None:
    registry = Registry()
    registry.register("api", "items", "shop", None, "/items/{name}", {"get": (Get, Item)})
    many = {"GET": (Get, None)}
    registry.register("api", "orders", "shop", None, collection_path="/orders", collection_contract=many)
    assert list(registry.resources_of("api")) == ["items", "orders"]
    assert registry.services == {"api": ("shop", None)}


def test_one_client_name_is_bound_to_one_service_and_version() -> None:
    registry = Registry()
    registry.register("api", "items", "shop", "v1", "/items/{name}", {"GET": (Get, Item)})
    with pytest.raises(ConfigurationError, match=r"'api' is bound to service 'shop' v1 already.*'shop' v2"):
        registry.register("api", "orders", "shop", "v2", "/orders/{name}", {"GET": (Get, Item)})
    with pytest.raises(ConfigurationError, match=r"'api' is bound .*'store' v1"):
        registry.register("api", "orders", "store", "v1", "/orders/{name}", {"GET": (Get, Item)})
    with pytest.raises(ConfigurationError, match="resource 'items' is registered already"):
        registry.register("api", "items", "shop", "v1", "/items/{name}", {"GET": (Get, Item)})
    assert list(registry.resources_of("api")) == ["items"]


class NoPlace(Request):
    name: str


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"client_name": ""}, "client_name must be a text"),
    ({"service": None}, "service must be a text"),
    ({"resource": "a-b"}, "'a-b' cannot be the name of a resource"),
    ({"resource": "_x"}, "'_x' cannot be the name of a resource"),
    ({"resource": "resource"}, "'resource' cannot be the name of a resource"),
    ({"resource": "name"}, "'name' cannot be the name of a resource"),
    ({"path": None}, "path and contract belong together"),
    ({"contract": None}, "path and contract belong together"),
    ({"path": None, "contract": None}, "give a path with a contract"),
    ({"collection_path": "/x"}, "collection_path and collection_contract belong together"),
    ({"path": "items"}, "path 'items' must begin with a slash"),
    ({"contract": {"FETCH": (Get, None)}}, "FETCH: there is no such verb; there are GET, POST"),
    ({"contract": {"GET": (Get, Item), "get": (Get, None)}}, "contract has GET twice"),
    ({"contract": {"GET": Get}}, r"a contract is \(model of the request"),
    ({"contract": {"GET": (Get,)}}, r"a contract is \(model of the request"),
    ({"contract": {"GET": (Item, None)}}, "the model of the request must be a Request"),
    ({"contract": {"GET": (None, None)}}, "the model of the request must be a Request"),
    ({"contract": {"GET": (Get | Item, None)}}, "the model of the request must be a Request"),
    ({"contract": {"GET": (Get, dict)}}, "the model of the answer must be a Response"),
    ({"contract": {"GET": (NoPlace, None)}}, r"NoPlace\.name does not say where it goes"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_wrong_is_refused_with_its_name(changes: dict[str, Any], message: str) -> None:
    registry = Registry()
    given: dict[str, Any] = {
        "client_name": "api",
        "resource": "items",
        "service": "shop",
        "version": "v1",
        "path": "/items/{name}",
        "contract": {"GET": (Get, Item)},
    }
    with pytest.raises(ConfigurationError, match=message):
        registry.register(**{**given, **changes})
    assert registry.clients == {}
    with pytest.raises(UnregisteredClientError, match=r"registered: none"):
        registry.resources_of("api")


def test_errors_of_contracts_are_not_errors_of_calls() -> None:
    assert not issubclass(UnregisteredClientError, HTTPClientError)
    assert issubclass(UnregisteredClientError, LookupError)


def test_scan_imports_all_modules_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "scanned_clients"
    (package / "inner").mkdir(parents=True)
    for folder in (package, package / "inner"):
        (folder / "__init__.py").write_text("")
    text = "from cqrs.http import Request, register\n"
    text += "register({name!r}, 'items', 'shop', None, '/', {{'GET': (Request, None)}})\n"
    (package / "one.py").write_text(text.format(name="scanned one"))
    (package / "inner" / "two.py").write_text(text.format(name="scanned two"))
    monkeypatch.syspath_prepend(str(tmp_path))
    scan("scanned_clients")
    try:
        assert {"scanned one", "scanned two"} <= set(default_registry.clients)
        scan("scanned_clients")  # once more: nothing happens
        (package / "broken.py").write_text("raise RuntimeError('a bug')")
        with pytest.raises(RuntimeError, match="a bug"):
            scan(sys.modules["scanned_clients"])
    finally:
        for name in ("scanned one", "scanned two"):
            default_registry.clients.pop(name)
            default_registry.services.pop(name)


def test_the_default_registry_is_the_one_of_register() -> None:
    assert register == default_registry.register


def test_bodies_of_several_verbs() -> None:
    class Add(Request):
        name: str = PostBodyField()

    registry = Registry()
    contract = {"POST": (Add, Item), "PUT": (Add, Item | None), "OPTIONS": (Request, None)}
    registry.register("api", "items", "shop", None, collection_path="/items", collection_contract=contract)
    many = registry.resources_of("api")["items"].many
    assert many is not None
    assert list(many.routes) == ["POST", "PUT", "OPTIONS"]
