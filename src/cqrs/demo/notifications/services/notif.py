"""The service ``notif``: ``POST /v1/notification`` sends a mail.

Beside it there are ``/metrics``, ``/dashboard``, ``/healthz`` and ``/readyz``.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncGenerator
from importlib import resources

from fastapi import FastAPI, Response
from fastapi.requests import Request
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

import cqrs
import cqrs.demo.notifications.services as services
from cqrs.circuit_breaker import CircuitOpenError
from cqrs.container import BuiltinContainer
from cqrs.contrib.fastapi import Mediator, health_router, mediator_lifespan
from cqrs.contrib.fastapi.errors import circuit_open_response
from cqrs.demo.notifications.services.clients import UnknownUserError, Users
from cqrs.demo.notifications.services.figures import Figures
from cqrs.demo.notifications.services.handlers import Notify, bind
from cqrs.demo.notifications.services.mail import Mailer
from cqrs.demo.notifications.services.outbox import FAILURES, Delivery, Outbox, OutboxFullError
from cqrs.demo.notifications.services.settings import Settings
from cqrs.http.metrics import PrometheusMetrics
from cqrs.requests.bootstrap import bootstrap


class NotificationIn(BaseModel):
    """The body of a ``POST /v1/notification``."""

    username: str = Field(min_length=1, max_length=64, pattern=r"^[\w.-]*\w$")
    message: str = Field(min_length=1, max_length=10_000)


class NotificationOut(BaseModel):
    """The answer; ``reason`` says why it is degraded: ``circuit_open`` or ``error``."""

    id: str
    degraded: bool
    reason: str | None = None


class Notif:
    """The parts of the service, and their life."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        self.users = Users(settings, PrometheusMetrics(registry=self.registry))
        delivery = Delivery(self.users, Mailer(settings))
        self.outbox = Outbox(delivery, settings)
        self.figures = Figures(self.registry, self.outbox)
        self._settings = settings
        self._container = (
            BuiltinContainer().register_instance(Delivery, delivery).register_instance(Outbox, self.outbox)
        )

    def mediator(self) -> cqrs.RequestMediator:
        """Return what handles the requests."""
        return bootstrap(self._container, commands_mapper=lambda mapper: bind(mapper, self._settings))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Run the client and the outbox."""
        await self.users.open()
        task = asyncio.create_task(self.outbox.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self.users.aclose()


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service as an ASGI application.

    Raises:
        ConfigurationError, ImportError: it cannot run with these settings, or what is installed.
    """
    notif = Notif(settings or Settings())
    lifespan = mediator_lifespan(requests=notif.mediator, around=lambda _app: notif.running())
    app = FastAPI(title="notif", lifespan=lifespan)
    _add_error_answers(app, notif.figures)
    app.include_router(health_router(breakers=notif.users.breaker.breakers))

    @app.post("/v1/notification", status_code=202)
    async def notify(body: NotificationIn, mediator: Mediator) -> NotificationOut:
        request = Notify(id=uuid.uuid4().hex, username=body.username, message=body.message)
        taken = await mediator.send(request)
        if not taken.degraded:
            notif.figures.answers.labels("delivered", "").inc()
            return NotificationOut(id=taken.id, degraded=False)
        fallback = cqrs.current_fallback()
        reason = "error" if fallback is None else fallback.reason
        notif.figures.answers.labels("queued", reason).inc()
        return NotificationOut(id=taken.id, degraded=True, reason=reason)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(notif.registry), media_type=CONTENT_TYPE_LATEST)

    page = resources.files(services).joinpath("dashboard.html").read_text(encoding="utf-8")

    @app.get("/dashboard", include_in_schema=False)
    async def dashboard() -> HTMLResponse:
        return HTMLResponse(page)

    return app


def _add_error_answers(app: FastAPI, figures: Figures) -> None:
    """Say what the caller gets for what no fallback has taken."""

    def refuse(reason: str, retry_after: float) -> JSONResponse:
        figures.answers.labels("refused", reason).inc()
        seconds = max(1, math.ceil(retry_after))
        body = {"error": reason, "retry_after": seconds}
        return JSONResponse(body, status_code=503, headers={"Retry-After": str(seconds)})

    async def on_unknown_user(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": "unknown_user"}, status_code=404)

    async def on_full(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OutboxFullError)
        return refuse("full", error.retry_after)

    async def on_failure(_request: Request, _error: Exception) -> JSONResponse:
        return refuse("error", 1.0)

    async def on_circuit_open(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, CircuitOpenError)
        figures.answers.labels("refused", "circuit_open").inc()
        return circuit_open_response(error)

    app.add_exception_handler(UnknownUserError, on_unknown_user)
    app.add_exception_handler(OutboxFullError, on_full)
    app.add_exception_handler(CircuitOpenError, on_circuit_open)
    for kind in FAILURES:
        app.add_exception_handler(kind, on_failure)
