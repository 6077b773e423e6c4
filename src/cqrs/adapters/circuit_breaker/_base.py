"""What the adapters to other breaker libraries have in common: names, calls, streams, exclusions."""

from __future__ import annotations

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from cqrs.adapters.circuit_breaker._exclusions import Exclusion, Exclusions
from cqrs.circuit_breaker.protocol import circuit_name

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Permit(Protocol):
    """One admitted call; exactly one of the three is called."""

    async def succeed(self) -> None:
        """Record a success."""
        ...

    async def fail(self, error: Exception) -> None:
        """Record a failure; may raise the library's own error from ``error``."""
        ...

    def abandon(self) -> None:
        """Record nothing: the call was cancelled or its consumer went away."""
        ...


class LibraryBreaker(ABC):
    """Guards calls and streams by another library's circuits, one circuit per identifier.

    The same for every library: an excluded error is recorded as an answer of the dependency (a success),
    since that is what the libraries do; ``BaseException`` (cancellation, interpreter exit, an abandoned
    stream) is not recorded at all; trouble in the library's storage is logged and never takes the place of
    the call or of its outcome.

    Args:
        exclude: exception classes (with any metaclass) and predicates that do not count as failures.
    """

    def __init__(self, exclude: Iterable[Exclusion] | None) -> None:
        self._exclusions = Exclusions(exclude)
        self._unguarded: set[str] = set()

    @abstractmethod
    async def _admit(self, name: str) -> Permit:
        """Return the permit of one call, or raise the library's rejection."""

    @abstractmethod
    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        """Tell whether ``exc`` is the library's rejection rather than a failure of the call."""

    async def call(
        self, identifier: type[Any] | str, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``func(*args, **kwargs)`` through the circuit of ``identifier``.

        Raises:
            Exception: what ``func`` raised, or the library's rejection; then ``func`` was not called, or
            (where
                the library raises it for the call that opens the circuit) its error is the ``__cause__``.
        """
        permit = await self._permit(circuit_name(identifier))
        try:
            result = await func(*args, **kwargs)
        except Exception as error:
            await self._record_failure(permit, error)
            raise
        except BaseException:
            permit.abandon()
            raise
        await self._record_success(permit)
        return result

    def guard(self, identifier: type[Any] | str, func: F) -> F:
        """Return ``func`` guarded by the circuit of ``identifier``; same kind, same signature.

        A stream (async generator function) is one call from its first item to its last: an open circuit
        rejects it before it starts, its failure counts, leaving it early counts as nothing, and it is
        closed when the guarded stream is.

        Raises:
            TypeError: ``func`` is neither an ``async def`` function nor an async generator function.
        """
        if inspect.isasyncgenfunction(func):
            return cast(F, self._guard_stream(identifier, func))
        if not inspect.iscoroutinefunction(func):
            raise TypeError(
                f"{func!r} cannot be guarded: it must be an async def or async generator function"
            )
        coroutine_function = func

        @wraps(func)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await self.call(identifier, coroutine_function, *args, **kwargs)

        return cast(F, guarded)

    def _guard_stream(
        self, identifier: type[Any] | str, func: Callable[..., AsyncGenerator[Any, Any]]
    ) -> Callable[..., AsyncGenerator[Any, Any]]:
        name = circuit_name(identifier)

        @wraps(func)
        async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            permit = await self._permit(name)
            from_consumer: BaseException | None = None
            try:
                stream = func(*args, **kwargs)
                try:
                    item = await anext(stream)
                    while True:
                        try:
                            sent = yield item
                        except GeneratorExit as leaving:
                            from_consumer = leaving
                            raise
                        except BaseException as error:
                            from_consumer = error
                            item = await stream.athrow(error)
                            from_consumer = None  # the stream took it and went on
                        else:
                            item = await stream.asend(sent)
                except StopAsyncIteration:
                    pass
                finally:
                    await stream.aclose()
            except Exception as error:
                if error is from_consumer or isinstance(from_consumer, GeneratorExit):
                    permit.abandon()
                else:
                    await self._record_failure(permit, error)
                raise
            except BaseException:
                permit.abandon()
                raise
            await self._record_success(permit)

        return guarded

    async def _permit(self, name: str) -> Permit:
        try:
            permit = await self._admit(name)
        except Exception as error:
            if self.is_circuit_breaker_error(error):
                raise
            if name not in self._unguarded:
                self._unguarded.add(name)
                logger.exception("circuit %s cannot be read; its calls run unguarded until it can", name)
            return _Unguarded()
        if name in self._unguarded:
            self._unguarded.discard(name)
            logger.info("circuit %s can be read again; its calls are guarded", name)
        return permit

    async def _record_success(self, permit: Permit) -> None:
        try:
            await permit.succeed()
        except Exception:
            logger.exception("the outcome of a successful call could not be recorded")

    async def _record_failure(self, permit: Permit, error: Exception) -> None:
        traceback = error.__traceback__
        try:
            if self._exclusions.cover(error):
                await permit.succeed()
            else:
                await permit.fail(error)
        except Exception as outcome:
            if outcome is error:
                return
            if self.is_circuit_breaker_error(outcome):
                raise
            logger.exception("the outcome of a failed call could not be recorded")
        finally:
            # The library raised it once more: its frames say nothing about it, and refer back to it.
            error.__traceback__ = traceback


class _Unguarded:
    """The permit of a call that no circuit watches."""

    async def succeed(self) -> None:
        return

    async def fail(self, error: Exception) -> None:
        return

    def abandon(self) -> None:
        return


def require(module: str, *, adapter: str, extra: str) -> ModuleType:
    """Import ``module``, which needs the library behind ``extra``.

    Raises:
        ImportError: the library is not installed; names the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{adapter} needs a library: pip install 'holdfast[{extra}]'") from error
