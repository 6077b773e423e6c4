"""Which message type a handler class declares, and whether it fits the type that it is bound to."""

from __future__ import annotations

import inspect
import types
from typing import Any, TypeVar, Union, get_args, get_origin

from cqrs.exceptions import HandlerTypeError
from cqrs.generic_utils import get_generic_args_for_origin


def type_name(subject: Any) -> str:
    """Return how errors call a class or an annotation."""
    return subject.__name__ if isinstance(subject, type) else str(subject)


def is_subclass(subject: Any, base: type[Any]) -> bool:
    """Tell whether ``subject`` is a class, and derived from ``base``."""
    return isinstance(subject, type) and issubclass(subject, base)


def is_concrete(annotation: Any) -> bool:
    """Tell whether no type variable is left in ``annotation``."""
    return not isinstance(annotation, TypeVar) and not getattr(annotation, "__parameters__", ())


def declared_types(handler: type[Any], origin: type[Any], count: int) -> tuple[Any, ...] | None:
    """Return the types that ``handler`` gives to its base ``origin``; ``None`` unless all are concrete."""
    arguments = get_generic_args_for_origin(handler, (origin,), count)
    if arguments is None or not all(is_concrete(argument) for argument in arguments[:count]):
        return None
    return tuple(arguments[:count])


def check_message_type(kind: str, message_type: Any) -> None:
    """Refuse what is not a class, and classes that no message can be an instance of.

    Raises:
        HandlerTypeError: ``message_type`` cannot be dispatched by type.
    """
    if not isinstance(message_type, type):
        raise HandlerTypeError(f"the {kind} to bind must be a class, not {message_type!r}")
    if hasattr(message_type, "__required_keys__") and issubclass(message_type, dict):
        raise HandlerTypeError(
            f"{type_name(message_type)} is a TypedDict: its instances are plain dictionaries, which cannot "
            f"be told apart by type; make the {kind} a class that holds it"
        )


def check_handler_fits(kind: str, message_type: type[Any], handler: type[Any], origin: type[Any]) -> None:
    """Refuse a handler that declares another message type than the one it is bound to.

    A handler declared for a base class of ``message_type`` fits, and so does one that declares nothing.

    Raises:
        HandlerTypeError: the declared type does not cover ``message_type``; both are named.
    """
    arguments = get_generic_args_for_origin(handler, (origin,))
    if arguments is not None and not _covers(arguments[0], message_type):
        raise HandlerTypeError(
            f"{type_name(handler)} handles {type_name(arguments[0])} and cannot be bound to the {kind} "
            f"{type_name(message_type)}"
        )


def is_plainly_sync(function: Any) -> bool:
    """Tell whether calling ``function`` gives nothing to await, as far as its definition says.

    A plain function may return an awaitable; then its return annotation says so. What is neither a function
    nor a method (a mock, a callable object) is given the benefit of the doubt.
    """
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(function, types.FunctionType) or inspect.iscoroutinefunction(function):
        return False
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return True
    returned = str(getattr(function, "__annotations__", {}).get("return", ""))
    return not any(word in returned for word in ("Awaitable", "Coroutine", "Future", "Task"))


def check_handler_methods(handler: type[Any], *, streams: bool) -> None:
    """Refuse a handler class whose ``handle`` or ``events`` is of a kind that can never work.

    A fallback would otherwise hide the mistake at every call.

    Raises:
        HandlerTypeError: naming the method, and how it is written.
    """
    handle = inspect.getattr_static(handler, "handle", None)
    if not getattr(handle, "__isabstractmethod__", False):
        written = inspect.unwrap(handle) if callable(handle) else handle
        if streams and (inspect.iscoroutinefunction(written) or inspect.isgeneratorfunction(written)):
            raise HandlerTypeError(
                f"{type_name(handler)}.handle must be an async generator: `async def` with `yield` in it"
            )
        if not streams and is_plainly_sync(handle):
            raise HandlerTypeError(
                f"{type_name(handler)}.handle must be `async def`, and return rather than yield"
            )
    events = inspect.getattr_static(handler, "events", None)
    if isinstance(events, types.FunctionType):
        raise HandlerTypeError(f"{type_name(handler)}.events must be a property: put @property above it")


def _covers(declared: Any, message_type: type[Any]) -> bool:
    if get_origin(declared) in (Union, types.UnionType):
        return any(_covers(member, message_type) for member in get_args(declared))
    if declared is message_type or declared is Any or not is_concrete(declared):
        return True
    declared = get_origin(declared) or declared
    # An annotation that is not a class (a name that is defined nowhere) decides nothing.
    return not isinstance(declared, type) or issubclass(message_type, declared)
