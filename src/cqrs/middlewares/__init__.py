"""Code around the handling of messages."""

from __future__ import annotations

from cqrs.middlewares.base import Handle, Middleware, MiddlewareChain, MiddlewareFunction, StreamHandle
from cqrs.middlewares.deadline import DeadlineMiddleware
from cqrs.middlewares.logging import LoggingMiddleware

__all__ = [
    "DeadlineMiddleware",
    "Handle",
    "LoggingMiddleware",
    "Middleware",
    "MiddlewareChain",
    "MiddlewareFunction",
    "StreamHandle",
]
