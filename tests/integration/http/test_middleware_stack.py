"""All middleware at once, over real connections."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from cqrs.deadlines import deadline as deadline_of
from cqrs.http import (
    AsyncClientFactory,
    AsyncStaticDiscovery,
    PathInfoField,
    Registry,
    Request,
    Response,
    SyncClientFactory,
    SyncStaticDiscovery,
)
from cqrs.http.metrics import PrometheusMetrics
from cqrs.http.middleware import (
    cache,
    circuit_breaker,
    deadline,
    headers,
    logging,
    oauth2,
    prometheus,
    retry,
    tracing,
)


class Seen(Response):
    name: str
    seen: dict[str, str]


class Get(Request):
    name: str = PathInfoField()


class Service:
    """A service, and the token endpoint that it trusts."""

    def __init__(self) -> None:
        service = self
        self.tokens: list[str] = []
        self.calls: list[str] = []
        self.failing = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None: ...

            def do_POST(self) -> None:
                service.tokens.append(self.rfile.read(int(self.headers["content-length"])).decode())
                self.answer(200, {"access_token": f"t{len(service.tokens)}", "token_type": "bearer"})

            def do_GET(self) -> None:
                service.calls.append(self.path)
                if service.failing:
                    service.failing -= 1
                    self.answer(503, {})
                elif not self.headers.get("authorization", "").startswith("Bearer t"):
                    self.answer(401, {})
                else:
                    seen = {name.lower(): value for name, value in self.headers.items()}
                    self.answer(200, {"name": self.path, "seen": seen})

            def answer(self, status: int, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "public, max-age=60")
                self.end_headers()
                self.wfile.write(content)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield service
    service.server.shutdown()
    thread.join()
    service.server.server_close()


def registry() -> Registry:
    made = Registry()
    made.register("api", "users", "user", "v1", "/users/{name}", {"GET": (Get, Seen)})
    return made


def stack(kind: str, service: Service, figures: CollectorRegistry) -> list[Any]:
    metrics = PrometheusMetrics(registry=figures)

    def made(module: Any, name: str, *arguments: Any, **options: Any) -> Any:
        return getattr(module, kind + name)(*arguments, **options)

    return [
        made(logging, "LoggingMiddleware"),
        made(tracing, "TracingMiddleware", TracerProvider()),
        made(prometheus, "PrometheusMiddleware", metrics),
        made(deadline, "DeadlineMiddleware", "X-Left"),
        made(cache, "CacheMiddleware", metrics=metrics),
        made(retry, "RetryMiddleware"),
        made(circuit_breaker, "CircuitBreakerMiddleware", metrics=metrics),
        made(oauth2, "OAuth2RefreshTokenMiddleware", f"{service.url}/token", "r1", "app", "s3cret"),
        made(headers, "HTTPAddHeadersMiddleware", {"X-Tenant": "a"}),
    ]


def check(service: Service, figures: CollectorRegistry, results: list[Any]) -> None:
    assert {result.unwrap().name for result in results} == {f"/users/{n}" for n in range(10)}
    seen = results[0].unwrap().seen
    assert seen["x-tenant"] == "a"
    assert seen["authorization"] == "Bearer t1"
    assert 0 < int(seen["x-left"]) <= 60_000
    assert len(seen["traceparent"]) == 55
    assert len(service.tokens) == 1, "one token for all"
    assert len(service.calls) == 11, "one call for each URL, and one more after the 503"
    labels = {"client_name": "api", "method": "GET", "path": "/users/{name}", "status_code": "200"}
    values = {
        name: figures.get_sample_value(f"holdfast_{name}", each)
        for name, each in (
            ("request_latency_seconds_count", labels),
            ("circuit_breaker_errors_total", {"client_name": "api"}),
            ("circuit_breaker_state", {"client_name": "api"}),
            ("cache_requests_total", {"client_name": "api", "outcome": "miss"}),
        )
    }
    assert values["request_latency_seconds_count"] == 30
    assert values["circuit_breaker_errors_total"] == 1
    assert values["circuit_breaker_state"] == 0
    assert values["cache_requests_total"] == 10


async def test_asynchronous(service: Service) -> None:
    figures = CollectorRegistry()
    service.failing = 1
    sd = AsyncStaticDiscovery({("user", "v1"): service.url})
    async with AsyncClientFactory(sd, registry=registry()) as factory:
        for middleware in stack("Async", service, figures):
            factory.add_middleware(middleware)
        await factory.initialize()
        client = await factory("api")
        async with deadline_of(60):
            results = await asyncio.gather(*[client.users.get({"name": str(n % 10)}) for n in range(30)])
    check(service, figures, results)


def test_synchronous(service: Service) -> None:
    figures = CollectorRegistry()
    service.failing = 1
    sd = SyncStaticDiscovery({("user", "v1"): service.url})
    with SyncClientFactory(sd, registry=registry()) as factory:
        for middleware in stack("Sync", service, figures):
            factory.add_middleware(middleware)
        factory.initialize()
        client = factory("api")

        def call(number: int) -> Any:
            with deadline_of(60):
                return client.users.get({"name": str(number % 10)})

        with ThreadPoolExecutor(10) as pool:
            results = list(pool.map(call, range(30)))
    check(service, figures, results)
