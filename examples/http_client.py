"""Typed clients of another service behind a circuit breaker, asynchronous and synchronous.

Run it: python examples/http_client.py
"""

from __future__ import annotations

import asyncio

import cqrs.http as http


class GetUser(http.Request):
    username: str = http.PathInfoField()


class User(http.Response):
    username: str
    email: str


http.register("users", "user", "user", "v1", path="/users/{username}", contract={"GET": (GetUser, User)})

ENDPOINTS = {("user", "v1"): "http://user.internal/v1"}


class UserService:
    """Stands for the service: a transport that answers in its place. Leave it out to use the network."""

    def __init__(self) -> None:
        self.up, self.calls = True, 0

    def __call__(
        self, request: http.HTTPRequest, client_name: str, path: str, timeout: http.HTTPTimeout
    ) -> http.HTTPResponse:
        self.calls += 1
        if not self.up:
            return http.HTTPResponse(503)
        if request.path["username"] != "ada":
            return http.HTTPResponse(404, json={"detail": "no such user"})
        return http.HTTPResponse(200, json={"username": "ada", "email": "ada@example.test"})

    async def in_a_while(
        self, request: http.HTTPRequest, client_name: str, path: str, timeout: http.HTTPTimeout
    ) -> http.HTTPResponse:
        return self(request, client_name, path, timeout)


def told(answer: http.ResponseBox[User, http.HTTPError]) -> str:
    """A user is a value, an error status too; nothing is raised for what a server may well answer."""
    return answer.unwrap().email if answer.is_ok() else str(answer.unwrap_err())


async def asynchronous(service: UserService) -> None:
    breaker = http.AsyncCircuitBreakerMiddleware(threshold=3, ttl=30)
    sd = http.AsyncStaticDiscovery(ENDPOINTS)
    async with http.AsyncClientFactory(sd, service.in_a_while).add_middleware(breaker) as factory:
        users = (await factory("users")).resource(User)
        for username in ("ada", "nobody"):
            print("async", told(await users.get(GetUser(username=username))))
        service.up = False
        for _ in range(4):
            try:
                print("async", told(await users.get({"username": "ada"})))
            except http.CircuitOpenError as rejection:
                print("async not asked:", rejection.reason)


def synchronous(service: UserService) -> None:
    breaker = http.SyncCircuitBreakerMiddleware(threshold=3, ttl=30)
    with http.SyncClientFactory(http.SyncStaticDiscovery(ENDPOINTS), service) as factory:
        users = factory.add_middleware(breaker)("users").resource(User)
        print("sync ", told(users.get(GetUser(username="ada"))))


if __name__ == "__main__":
    remote = UserService()
    asyncio.run(asynchronous(remote))
    remote.up = True
    synchronous(remote)
    print(f"{remote.calls} calls of the service")
