"""A dependency that does exactly what a test wrote down."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from cqrs.testing.faults import Error, is_error

T = TypeVar("T")


class Script(Generic[T]):
    """Plays back a list of outcomes, one per call, through whichever of its four faces is called.

    An outcome is a value to return or an exception (class or instance) to raise. For the two
    generator faces a list or tuple is a sequence of items, each a value to yield or an exception
    to raise at that point; any other value is yielded as the only item.

    Args:
        outcomes: one outcome per call, in order. A call beyond the last one raises ``AssertionError``.

    Attributes:
        calls: ``(args, kwargs)`` of every call so far; a generator's call counts at its first item.

    >>> charge = Script([ConnectionError("refused"), "receipt"])
    >>> charge.call("order")
    Traceback (most recent call last):
    ConnectionError: refused
    >>> charge.call("order"), charge.remaining
    ('receipt', 0)
    """

    def __init__(self, outcomes: Iterable[T | Error | Iterable[T | Error]]) -> None:
        self._outcomes: list[object] = list(outcomes)
        self._lock = threading.Lock()
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    @property
    def remaining(self) -> int:
        """How many outcomes have not been played yet."""
        return len(self._outcomes) - len(self.calls)

    def call(self, *args: Any, **kwargs: Any) -> T:
        """Play the next outcome as a function."""
        result: T = _play(self._next(args, kwargs))
        return result

    async def acall(self, *args: Any, **kwargs: Any) -> T:
        """Play the next outcome as a coroutine function."""
        return self.call(*args, **kwargs)

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[T]:
        """Play the next outcome as a generator function."""
        for item in _items(self._next(args, kwargs)):
            yield _play(item)

    async def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[T]:
        """Play the next outcome as an asynchronous generator function."""
        for item in _items(self._next(args, kwargs)):
            yield _play(item)

    __call__ = call

    def _next(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        with self._lock:
            if not self.remaining:
                raise AssertionError(
                    f"the script has only {len(self._outcomes)} outcomes, but was called once more"
                )
            outcome = self._outcomes[len(self.calls)]
            self.calls.append((args, kwargs))
        return outcome


def _items(outcome: object) -> Iterable[object]:
    if isinstance(outcome, list | tuple):
        return cast("Iterable[object]", outcome)
    return [outcome]


def _play(outcome: Any) -> Any:
    if is_error(outcome):
        raise outcome
    return outcome
