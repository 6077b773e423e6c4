"""Commands, queries, streams and chains of responsibility."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.requests.cor_request_handler import CORRequestHandler as CORRequestHandler
    from cqrs.requests.cor_request_handler import build_chain as build_chain
    from cqrs.requests.fallback import RequestHandlerFallback as RequestHandlerFallback
    from cqrs.requests.map import RequestMap as RequestMap
    from cqrs.requests.mermaid import CoRMermaid as CoRMermaid
    from cqrs.requests.request import DCRequest as DCRequest
    from cqrs.requests.request import IRequest as IRequest
    from cqrs.requests.request import PydanticRequest as PydanticRequest
    from cqrs.requests.request import Request as Request
    from cqrs.requests.request_handler import RequestHandler as RequestHandler
    from cqrs.requests.request_handler import StreamingRequestHandler as StreamingRequestHandler

_EXPORTS = {
    "CORRequestHandler": "cqrs.requests.cor_request_handler",
    "CoRMermaid": "cqrs.requests.mermaid",
    "DCRequest": "cqrs.requests.request",
    "IRequest": "cqrs.requests.request",
    "PydanticRequest": "cqrs.requests.request",
    "Request": "cqrs.requests.request",
    "RequestHandler": "cqrs.requests.request_handler",
    "RequestHandlerFallback": "cqrs.requests.fallback",
    "RequestMap": "cqrs.requests.map",
    "StreamingRequestHandler": "cqrs.requests.request_handler",
    "build_chain": "cqrs.requests.cor_request_handler",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
