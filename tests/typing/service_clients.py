"""What type checkers must infer about service clients."""

from __future__ import annotations

from typing import Any, assert_type

from cqrs.http import (
    AsyncCircuitBreakerMiddleware,
    AsyncClient,
    AsyncClientFactory,
    AsyncStaticDiscovery,
    CollectionIterator,
    HTTPError,
    PathInfoField,
    Request,
    Response,
    ResponseBox,
    Result,
    SyncCircuitBreakerMiddleware,
    SyncClientFactory,
    SyncStaticDiscovery,
)


class User(Response):
    username: str


class GetUser(Request):
    username: str = PathInfoField()


async def asynchronous() -> None:
    factory = AsyncClientFactory(AsyncStaticDiscovery({}))
    assert_type(factory, AsyncClientFactory[HTTPError])
    assert_type(factory.add_middleware(AsyncCircuitBreakerMiddleware(3, 30)), AsyncClientFactory[HTTPError])
    client = await factory("api")
    assert_type(client, AsyncClient[HTTPError])
    box = await client.resource(User).get(GetUser(username="alice"))
    assert_type(box, ResponseBox[User, HTTPError])
    assert_type(box.unwrap(), User)
    assert_type(box.unwrap_err(), HTTPError)
    assert_type(box.unwrap_or(None), User | None)
    assert_type(box.as_optional(), User | None)
    assert_type(box.map(lambda user: user.username), Result[str, HTTPError])
    found = await client.resource(User).collection_get()
    assert_type(found, Result[CollectionIterator[User], HTTPError])
    assert_type([user.username for user in found.unwrap()], list[str])
    assert_type(await client.users.get({"username": "alice"}), ResponseBox[Any, HTTPError])
    parsed = AsyncClientFactory(AsyncStaticDiscovery({}), error_parser=lambda error: error.status_code)
    assert_type((await (await parsed("api")).resource(User).get()).unwrap_err(), int)


def synchronous() -> None:
    factory = SyncClientFactory(SyncStaticDiscovery({})).add_middleware(SyncCircuitBreakerMiddleware())
    client = factory("api")
    assert_type(client.resource(User).get(), ResponseBox[User, HTTPError])
    assert_type(client.resource(User).collection_get().unwrap()[0], User)


def endpoints_in_variables() -> None:
    versioned = {("user", "v1"): "http://user/v1"}
    unversioned = {("user", None): "http://user"}
    AsyncStaticDiscovery(versioned)
    AsyncStaticDiscovery(unversioned)
    SyncStaticDiscovery({("user", "v1"): "http://user/v1", ("mail", None): "http://mail"})
