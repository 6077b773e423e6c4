"""Which handler answers which request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.declarations import (
    check_handler_fits,
    check_handler_methods,
    check_message_type,
    is_subclass,
    type_name,
)
from cqrs.dispatcher.fallback_pair import declared_attempts
from cqrs.dispatcher.saga_map import SagaMap as SagaMap
from cqrs.exceptions import RequestHandlerTypeError
from cqrs.requests.cor_request_handler import CORRequestHandler
from cqrs.requests.fallback import RequestHandlerFallback
from cqrs.requests.request_handler import RequestHandler, StreamingRequestHandler

RequestBinding: TypeAlias = (
    type[RequestHandler[Any, Any]]
    | type[StreamingRequestHandler[Any, Any]]
    | RequestHandlerFallback
    | Sequence[type[CORRequestHandler[Any, Any]] | RequestHandlerFallback]
)
"""A handler class, a declared fallback, or the links of a chain of responsibility."""

HandlerT = TypeVar("HandlerT", bound=type[Any])

_SINGLE = (RequestHandler, StreamingRequestHandler)


class RequestMap(BindingMap[Any]):
    """Binds each request type to what answers it, once.

    >>> class Double(RequestHandler[int, int]):
    ...     async def handle(self, request: int) -> int:
    ...         return 2 * request
    >>> requests = RequestMap()
    >>> requests.bind(int, Double)
    >>> requests.bind(int, Double)
    Traceback (most recent call last):
    KeyError: "<class 'int'> already exists in registry"
    """

    binds: ClassVar[str] = "request"

    def bind(self, request_type: type[Any], handler: RequestBinding) -> None:
        """Bind ``request_type`` to a handler class, a ``RequestHandlerFallback``, or a list of chain links.

        Raises:
            KeyError: the request type is bound already.
            TypeError: ``handler`` is not a handler, or is declared for another request type.
        """
        check_message_type("request type", request_type)
        if request_type in self:
            raise KeyError(f"{request_type} already exists in registry")
        if isinstance(handler, list | tuple):
            links = cast("Sequence[Any]", handler)
            if not links:
                raise RequestHandlerTypeError(f"the chain bound to {type_name(request_type)} has no links")
            for link in links:
                _check(request_type, link, (CORRequestHandler,))
            self._set(request_type, list(links))
        else:
            _check(request_type, handler, _SINGLE)
            self._set(request_type, handler)

    def handles(self, request_type: type[Any]) -> Callable[[HandlerT], HandlerT]:
        """Return a class decorator that binds the handler class to ``request_type``.

        >>> requests = RequestMap()
        >>> @requests.handles(int)
        ... class Double(RequestHandler[int, int]):
        ...     async def handle(self, request: int) -> int:
        ...         return 2 * request
        >>> requests[int] is Double
        True
        """

        def decorate(handler: HandlerT) -> HandlerT:
            self.bind(request_type, handler)
            return handler

        return decorate


def _check(request_type: type[Any], handler: Any, bases: tuple[type[Any], ...]) -> None:
    for candidate, _ in declared_attempts(handler):
        base = next((base for base in bases if is_subclass(candidate, base)), None)
        if base is None:
            names = " or ".join(known.__name__ for known in bases)
            hint = ""
            if is_subclass(candidate, CORRequestHandler):
                hint = "; bind the links of a chain as a list"
            subject = type_name(candidate) if isinstance(candidate, type) else repr(candidate)
            raise RequestHandlerTypeError(
                f"{subject} cannot be bound to {type_name(request_type)}: it must be a subclass of {names}, "
                f"or a RequestHandlerFallback of such classes{hint}"
            )
        check_handler_fits("request type", request_type, candidate, base)
        check_handler_methods(candidate, streams=base is StreamingRequestHandler)
