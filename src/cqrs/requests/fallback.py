"""Which handler answers a request when the primary one cannot."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

from cqrs.dispatcher.fallback_pair import FallbackPair
from cqrs.exceptions import HandlerTypeError
from cqrs.requests.cor_request_handler import CORRequestHandler
from cqrs.requests.request_handler import RequestHandler, StreamingRequestHandler


@dataclasses.dataclass(frozen=True)
class RequestHandlerFallback(FallbackPair):
    """Declares that ``fallback`` answers when ``primary`` fails, or when its circuit is open.

    Both are ``RequestHandler``, ``StreamingRequestHandler`` or ``CORRequestHandler`` classes for the same
    request and response types. Bind it to the request type in place of a handler class, or put it into a
    chain.

    Args:
        primary: the handler class that is asked first.
        fallback: the handler class that answers instead, or another ``RequestHandlerFallback``.
        failure_exceptions: the ``Exception`` types of the primary that the fallback answers for; empty: all.
        circuit_breaker: guards the primary; its rejections always lead to the fallback.
        after_items: what happens when the primary of a stream fails after items were delivered:
            ``"fallback"`` (default) streams the fallback from its beginning, ``"raise"`` raises the error.

    Raises:
        TypeError: the handlers do not fit together, or an argument has the wrong type.

    >>> class Live(RequestHandler[int, str]):
    ...     async def handle(self, request: int) -> str: ...
    >>> class Cached(RequestHandler[int, str]):
    ...     async def handle(self, request: int) -> str: ...
    >>> pair = RequestHandlerFallback(Live, Cached, failure_exceptions=(ConnectionError, TimeoutError))
    >>> pair == RequestHandlerFallback(Live, Cached, (ConnectionError, TimeoutError))
    True
    """

    handler_bases: ClassVar[tuple[type[Any], ...]] = (
        RequestHandler,
        StreamingRequestHandler,
        CORRequestHandler,
    )
    declares: ClassVar[tuple[str, ...]] = ("request type", "response type")

    after_items: Literal["fallback", "raise"] = "fallback"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.after_items not in ("fallback", "raise"):
            raise HandlerTypeError(
                f"RequestHandlerFallback: after_items must be 'fallback' or 'raise', not {self.after_items!r}"
            )
        if self.after_items == "raise" and self.handler_base is not StreamingRequestHandler:
            raise HandlerTypeError(
                "RequestHandlerFallback: after_items='raise' is for streaming handlers only"
            )
