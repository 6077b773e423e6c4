"""FastAPI: mediators as dependencies, an open circuit as 503, streams as server-sent events, health routes.

Needs the extra ``fastapi``::

    app = FastAPI(lifespan=mediator_lifespan(requests=make_mediator))
    install_exception_handlers(app)

    @app.get("/users/{user_id}")
    async def user(user_id: str, mediator: Mediator) -> UserProfile:
        return await mediator.send(GetUser(user_id=user_id))
"""

from __future__ import annotations

try:
    import fastapi as _fastapi
except ImportError as error:
    raise ImportError("cqrs.contrib.fastapi needs FastAPI: pip install 'holdfast[fastapi]'") from error

from cqrs.contrib.fastapi.errors import circuit_open_response, install_exception_handlers
from cqrs.contrib.fastapi.health import health_router
from cqrs.contrib.fastapi.mediators import Mediator, StreamingMediator, mediator_lifespan
from cqrs.contrib.fastapi.sse import ServerSentEvents

__all__ = [
    "Mediator",
    "ServerSentEvents",
    "StreamingMediator",
    "circuit_open_response",
    "health_router",
    "install_exception_handlers",
    "mediator_lifespan",
]

del _fastapi
