"""What a call returns: a value or an error, without an exception for what a server may well answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar

from cqrs.http.messages import HTTPResponse

T = TypeVar("T")
U = TypeVar("U")
E = TypeVar("E")
F = TypeVar("F")


class _Nothing(Enum):
    NOTHING = 0  # a member of an Enum: the same object also in a copy and after pickling


_NOTHING: Any = _Nothing.NOTHING


class ResultError(Exception):
    """The value of an error was asked for, or the error of a value.

    Attributes:
        result: the result that was asked.
    """

    def __init__(self, message: str, result: Result[Any, Any]) -> None:
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        return str(self.args[0])


class Result(Generic[T, E]):
    """A value or an error. Made by ``Ok(value)`` and ``Err(error)``.

    >>> Ok(2).map(lambda value: value + 1).unwrap()
    3
    >>> Err("gone").unwrap_or(0)
    0
    """

    __slots__ = ("_error", "_value")

    def __init__(self, value: T = _NOTHING, error: E = _NOTHING) -> None:
        self._value = value
        self._error = error

    def is_ok(self) -> bool:
        """Whether there is a value."""
        return self._error is _NOTHING

    def is_err(self) -> bool:
        """Whether there is an error."""
        return self._error is not _NOTHING

    def unwrap(self) -> T:
        """Return the value.

        Raises:
            Exception: the error, when it is an exception.
            ResultError: the error is something else.
        """
        if self._error is _NOTHING:
            return self._value
        if isinstance(self._error, BaseException):
            raise self._error
        raise ResultError(f"there is no value, but the error {self._error!r}", self)

    def expect(self, message: str) -> T:
        """Return the value.

        Raises:
            ResultError: there is none; it says ``message``.
        """
        if self._error is _NOTHING:
            return self._value
        cause = self._error if isinstance(self._error, BaseException) else None
        raise ResultError(f"{message}: {self._error}", self) from cause

    def unwrap_err(self) -> E:
        """Return the error.

        Raises:
            ResultError: there is none.
        """
        if self._error is _NOTHING:
            raise ResultError(f"there is no error, but the value {self._value!r}", self)
        return self._error

    def expect_err(self, message: str) -> E:
        """Return the error.

        Raises:
            ResultError: there is none; it says ``message``.
        """
        if self._error is _NOTHING:
            raise ResultError(f"{message}: {self._value!r}", self)
        return self._error

    def unwrap_or(self, default: U) -> T | U:
        """Return the value, or ``default``."""
        return self._value if self._error is _NOTHING else default

    def unwrap_or_else(self, make: Callable[[E], U]) -> T | U:
        """Return the value, or what ``make(error)`` returns."""
        return self._value if self._error is _NOTHING else make(self._error)

    def unwrap_or_raise(self, error: type[BaseException] | BaseException) -> T:
        """Return the value, or raise ``error``, a class or an instance."""
        if self._error is _NOTHING:
            return self._value
        raised = error(str(self._error)) if isinstance(error, type) else error
        raise raised from (self._error if isinstance(self._error, BaseException) else None)

    def as_optional(self) -> T | None:
        """Return the value, or ``None``."""
        return self._value if self._error is _NOTHING else None

    def map(self, change: Callable[[T], U]) -> Result[U, E]:
        """Return ``Ok(change(value))``, or the error as it is."""
        return Ok(change(self._value)) if self._error is _NOTHING else Err(self._error)

    def map_or(self, default: U, change: Callable[[T], U]) -> U:
        """Return ``change(value)``, or ``default``."""
        return change(self._value) if self._error is _NOTHING else default

    def map_or_else(self, make: Callable[[E], U], change: Callable[[T], U]) -> U:
        """Return ``change(value)`` or ``make(error)``."""
        return change(self._value) if self._error is _NOTHING else make(self._error)

    def map_err(self, change: Callable[[E], F]) -> Result[T, F]:
        """Return the value as it is, or ``Err(change(error))``."""
        return Ok(self._value) if self._error is _NOTHING else Err(change(self._error))

    def and_then(self, then: Callable[[T], Result[U, E]]) -> Result[U, E]:
        """Return ``then(value)``, another result, or the error as it is."""
        return then(self._value) if self._error is _NOTHING else Err(self._error)

    def or_else(self, otherwise: Callable[[E], Result[T, F]]) -> Result[T, F]:
        """Return the value as it is, or ``otherwise(error)``, another result."""
        return Ok(self._value) if self._error is _NOTHING else otherwise(self._error)

    def __repr__(self) -> str:
        return f"Ok({self._value!r})" if self._error is _NOTHING else f"Err({self._error!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        theirs: Result[Any, Any] = other  # pyright: ignore[reportUnknownVariableType]
        return bool(self._value == theirs._value and self._error == theirs._error)

    __hash__ = None  # type: ignore[assignment]  # it compares by what it holds


def Ok(value: T) -> Result[T, Any]:
    """Return a result with a value."""
    return Result(value)


def Err(error: E) -> Result[Any, E]:
    """Return a result with an error."""
    return Result(_NOTHING, error)


class ResponseBox(Result[T, E]):
    """The result of a call, with the answer that it was made of.

    Attributes:
        response: the answer; ``None`` when there was none, which is an error.
    """

    __slots__ = ("response",)

    def __init__(
        self, value: T = _NOTHING, error: E = _NOTHING, response: HTTPResponse | None = None
    ) -> None:
        self._value = value
        self._error = error
        self.response = response

    @property
    def json(self) -> Any:
        """Body of the answer as JSON values, whatever its status; ``None`` when it is not JSON."""
        if self.response is None:
            return None
        try:
            return self.response.json
        except ValueError:
            return None

    def as_result(self) -> Result[T, E]:
        """Return the value or error alone."""
        return Ok(self._value) if self.is_ok() else Err(self._error)
