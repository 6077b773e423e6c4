"""The dictionary behind ``RequestMap`` and ``EventMap``: bindings are added, never replaced or removed."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NoReturn, Self, TypeVar

from cqrs.exceptions import ConfigurationTypeError

ValueT = TypeVar("ValueT")


class BindingMap(dict[type[Any], ValueT]):
    """A dictionary from message types to what handles them, in which every way to write is ``bind``.

    Raises:
        KeyError: a binding would replace another one.
        TypeError: a binding would be removed, or is refused by ``bind``.
    """

    binds: ClassVar[str] = ""
    """The kind of message, as the names of arguments say it: ``"request"`` or ``"event"``."""

    def __init__(self, bindings: Mapping[type[Any], Any] | Iterable[tuple[type[Any], Any]] = ()) -> None:
        super().__init__()
        self.update(bindings)

    @abc.abstractmethod
    def bind(self, message_type: type[Any], handler: Any, /) -> Any:
        """Add a binding."""
        raise NotImplementedError

    def _set(self, message_type: type[Any], value: ValueT) -> None:
        super().__setitem__(message_type, value)

    def __setitem__(self, message_type: type[Any], handler: Any) -> None:
        self.bind(message_type, handler)

    def setdefault(self, message_type: type[Any], handler: Any = None) -> ValueT:
        """Return what is bound to ``message_type``; bind ``handler`` first if nothing is."""
        if message_type not in self:
            self[message_type] = handler
        return self[message_type]

    def update(self, bindings: Any = (), /) -> None:
        """Bind each item of a mapping or of pairs."""
        pairs: Any = bindings.items() if hasattr(bindings, "items") else bindings
        for message_type, handler in pairs:
            self[message_type] = handler

    def __ior__(self, bindings: Any) -> Self:  # type: ignore[override, misc]  # accepts what ``update`` accepts
        self.update(bindings)
        return self

    def copy(self) -> Self:
        """Return another map with the same bindings."""
        return type(self)(self)

    def _refuse_removal(self, *_: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} has no deletion: what was bound stays bound")

    __delitem__ = pop = popitem = clear = _refuse_removal


def fill(bindings: BindingMap[Any], argument: str, mapper: Callable[[Any], Any] | None) -> None:
    """Let ``mapper``, given as ``argument``, bind what it wants to.

    Raises:
        ConfigurationTypeError: it is not callable, or async, so that nothing would be bound.
    """
    if mapper is None:
        return
    if not callable(mapper):
        raise ConfigurationTypeError(
            f"{argument} must be a function that takes the map and binds, not {mapper!r}"
        )
    result = None if inspect.iscoroutinefunction(mapper) else (mapper(bindings),)
    if result is None or inspect.isawaitable(result[0]):
        raise ConfigurationTypeError(f"{argument} must not be async: nobody would await {mapper!r}")
