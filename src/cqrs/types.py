"""The link between a request and its response, for type checkers.

A request class that inherits ``Returns[Response]`` (directly, or through ``cqrs.Request[Response]``,
``cqrs.DCRequest[Response]`` or ``cqrs.IRequest[Response]``) tells what answers it, so that
``await mediator.send(request)`` infers ``Response``, and ``mediator.stream(request)`` its items.
Whoever accepts a request declares two overloads::

    @overload
    async def send(self, request: Returns[ResponseT]) -> ResponseT: ...
    @overload
    async def send(self, request: object) -> Any: ...
    async def send(self, request: Any) -> Any: ...

The second one keeps every other class usable: plain classes, attrs classes, msgspec structs, typed
dictionaries. No base class is needed to be a request or a response.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

__all__ = ["EventT", "PayloadT", "ReqT", "ResT", "ResponseT", "ResponseT_co", "Returns"]

ReqT = TypeVar("ReqT")
"""A request, as handlers and maps see it; any class will do."""

ResT = TypeVar("ResT")
"""What a handler returns (or, for a stream, each item)."""

EventT = TypeVar("EventT")
"""An event, as its handler sees it; any class will do."""

PayloadT = TypeVar("PayloadT", default=Any)
"""What a notification event carries; ``Any`` when the event class does not say."""

ResponseT = TypeVar("ResponseT")
"""The inferred response of one ``send``."""

ResponseT_co = TypeVar("ResponseT_co", covariant=True, default=Any)
"""The response that a request declares; ``Any`` when it declares none."""


class ParameterisedRequest(types.GenericAlias):
    """``Request[X]``: usable as a base class and callable; both mean the class itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # The built-in alias would set ``__orig_class__`` on the instance, which pydantic models refuse.
        origin: Any = self.__origin__
        return origin(*args, **kwargs)


if TYPE_CHECKING:

    class Returns(Generic[ResponseT_co]):
        """Marks a request class with the type of its response."""

else:

    class Returns:
        """Marks a request class with the type of its response.

        Mix it into any class that is sent through a mediator: it has no fields, no metaclass and empty slots,
        so dataclasses, attrs classes and msgspec structs may inherit it. Parameterising it creates no class.

        >>> class CountUsers(Returns[int]): ...
        >>> CountUsers.__mro__[1] is Returns
        True
        """

        # Not ``typing.Generic`` at run time: pydantic would make a separate model of every ``Request[X]``.
        __slots__ = ()

        def __class_getitem__(cls, item: Any) -> types.GenericAlias:
            return ParameterisedRequest(cls, item)
