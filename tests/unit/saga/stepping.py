"""Driving a coroutine from one suspension to the next, and doing something to it at one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any


class Stepped:
    """Awaits a coroutine, and strikes at its suspension of number ``at``, from 0.

    Args:
        coroutine: what is awaited.
        at: where to strike.
        strike: an error to throw into the coroutine, or a function to await before it goes on; ``None``
            closes the coroutine there.

    Attributes:
        has_struck: whether the coroutine was suspended as often.
    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        at: int,
        strike: BaseException | Callable[[], Awaitable[Any]] | None,
    ) -> None:
        self._coroutine = coroutine
        self._at = at
        self._strike = strike
        self.has_struck = False

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, number = self._coroutine, 0
        try:
            waits_for = coroutine.send(None)
            while True:
                strikes = number == self._at
                number += 1
                if strikes:
                    self.has_struck = True
                    if self._strike is None:
                        coroutine.close()
                        return None
                    if isinstance(self._strike, BaseException):
                        waits_for = coroutine.throw(self._strike)
                        continue
                    yield from self._strike().__await__()
                try:
                    value = yield waits_for
                except BaseException as error:
                    waits_for = coroutine.throw(error)
                else:
                    waits_for = coroutine.send(value)
        except StopIteration as stop:
            return stop.value
