"""Guarded forms of the four kinds of function: plain, coroutine, generator, async generator.

Each waits in its own way; what is decided is the same three steps of the gate.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar, cast

from cqrs.circuit_breaker.gate import Gate, Token
from cqrs.circuit_breaker.verdict import FAILURE, SUCCESS
from cqrs.exceptions import ConfigurationTypeError

F = TypeVar("F", bound=Callable[..., Any])

_LAZY = frozenset({CoroutineType, GeneratorType, AsyncGeneratorType})


def guard(gate: Gate, func: F) -> F:
    """Return ``func`` guarded: same kind, same signature.

    Raises:
        ConfigurationTypeError: ``func`` is not a function (a ``classmethod`` object, say).
    """
    return cast(F, functools.update_wrapper(raw_guard(gate, func), func))


def raw_guard(gate: Gate, func: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``func`` guarded, without its name and documentation; raises like ``guard``."""
    _check_function(func)
    code_holder = func
    while isinstance(code_holder, functools.partial):
        code_holder = code_holder.func
    if not hasattr(code_holder, "__code__"):
        code_holder = getattr(code_holder, "__call__", code_holder)  # an object with __call__  # noqa: B004
    code = getattr(code_holder, "__code__", None)
    flags: int = 0 if code is None else code.co_flags
    if flags & inspect.CO_ASYNC_GENERATOR:
        return _guard_async_generator(gate, func)
    if flags & inspect.CO_GENERATOR and not flags & inspect.CO_ITERABLE_COROUTINE:
        return _guard_generator(gate, func)
    if flags & inspect.CO_COROUTINE or inspect.iscoroutinefunction(code_holder):
        return _guard_coroutine(gate, func)
    return _guard_plain(gate, func)


def _check_function(func: object) -> None:
    hint = ""
    if isinstance(func, (classmethod, staticmethod)):
        hint = "; put the breaker below @classmethod or @staticmethod"
    elif isinstance(func, CoroutineType):
        hint = "; pass the function and its arguments, not the coroutine"
    elif callable(func):
        return
    raise ConfigurationTypeError(f"a circuit breaker guards functions, not {func!r}{hint}")


def _guard_plain(gate: Gate, func: Callable[..., Any]) -> Callable[..., Any]:
    enter, leave, fail, machine = gate.enter, gate.leave, gate.fail, gate.quick_machine

    def guarded(*args: Any, **kwargs: Any) -> Any:
        lane = machine.lane
        if lane is not None and lane.quick:  # what enter() does first, without the price of the call
            lane.admitted += 1
            token: Token = lane
        else:
            token = enter()
            if token.waits:
                token = gate.complete(token)
        try:
            result = func(*args, **kwargs)
        except BaseException as error:
            fail(token, error)
            raise
        if result.__class__ in _LAZY:
            # Nothing has happened yet but the making of a coroutine or generator: guard that instead.
            gate.withdraw(token)
            return _guard_lazy(gate, result)
        lane = machine.lane
        if lane is not None and token is lane and lane.quick:  # likewise leave()
            lane.successes += 1
        else:
            leave(token, result)
        return result

    return guarded


def _guard_coroutine(gate: Gate, func: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    enter, leave, fail, machine = gate.enter, gate.leave, gate.fail, gate.quick_machine

    async def guarded(*args: Any, **kwargs: Any) -> Any:
        lane = machine.lane
        if lane is not None and lane.quick:  # as in _guard_plain
            lane.admitted += 1
            token: Token = lane
        else:
            token = enter()
            if token.waits:
                token = await gate.complete_async(token)
        try:
            if token.limit is None:
                result = await func(*args, **kwargs)
            else:
                result = await _limited(gate, token, func(*args, **kwargs))
        except BaseException as error:
            fail(token, error)
            raise
        lane = machine.lane
        if lane is not None and token is lane and lane.quick:
            lane.successes += 1
        else:
            leave(token, result)
        return result

    return guarded


def _guard_generator(gate: Gate, func: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        items = func(*args, **kwargs)
        token = gate.enter()
        if token.waits:
            token = gate.complete(token)
        try:
            item = next(items)
            gate.answered(token)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    item = items.throw(thrown)
                else:
                    item = next(items) if sent is None else items.send(sent)
        except StopIteration as stop:
            gate.succeed(token)
            return stop.value
        except GeneratorExit:
            gate.abandon(token, SUCCESS)  # the consumer had its first item
            raise
        except BaseException as error:
            gate.fail(token, error)
            raise
        finally:
            items.close()

    return guarded


def _guard_async_generator(gate: Gate, func: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        items = func(*args, **kwargs)
        token = gate.enter()
        if token.waits:
            token = await gate.complete_async(token)
        try:
            if token.limit is None:
                item = await anext(items)
            else:
                item = await _limited(gate, token, anext(items))
            gate.answered(token)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    item = await items.athrow(thrown)
                else:
                    item = await (anext(items) if sent is None else items.asend(sent))
        except StopAsyncIteration:
            gate.succeed(token)
        except GeneratorExit:
            gate.abandon(token, SUCCESS)  # the consumer had its first item
            raise
        except BaseException as error:
            gate.fail(token, error)
            raise
        finally:
            await items.aclose()

    return guarded


async def _limited(gate: Gate, token: Token, call: Awaitable[Any]) -> Any:
    """Await a probe no longer than its limit; running into it is a failure, whatever the policy records."""
    deadline = asyncio.timeout(token.limit)
    try:
        async with deadline:
            return await call
    except TimeoutError as error:
        if deadline.expired():
            gate.settle(token, FAILURE, error)
        raise


def _guard_lazy(gate: Gate, made: Any) -> Any:
    """Guard a coroutine or generator that a plain function has made."""
    if isinstance(made, CoroutineType):
        return _guard_coroutine(gate, lambda: cast("Awaitable[Any]", made))()
    if isinstance(made, GeneratorType):
        return _guard_generator(gate, lambda: cast("Generator[Any, Any, Any]", made))()
    return _guard_async_generator(gate, lambda: made)()
