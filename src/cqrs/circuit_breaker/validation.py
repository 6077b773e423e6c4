"""Checks of policy fields: each names the field, the value and the legal range."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from cqrs.exceptions import ConfigurationTypeError, PolicyError

_LARGEST = sys.float_info.max


def seconds(field: str, value: object, *, low: float = 0.0, strict: bool = True) -> float:
    """Return a duration in seconds from a number or ``timedelta``; ``strict`` excludes ``low`` itself."""
    legal = f"a finite number of seconds (or a timedelta) {'>' if strict else '>='} {low:g}"
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= _LARGEST:
        raise PolicyError(field, value, legal)
    if number < low or (strict and number == low):
        raise PolicyError(field, value, legal)
    return float(number)


def count(field: str, value: object, *, low: int = 1, high: int | None = None) -> int:
    """Return a whole number within ``[low, high]``."""
    legal = f"a whole number >= {low}" if high is None else f"a whole number from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise PolicyError(field, value, legal)
    if value < low or (high is not None and value > high):
        raise PolicyError(field, value, legal)
    return value


def ratio(field: str, value: object, *, zero: bool = False) -> float:
    """Return a share in ``(0, 1]``, or in ``[0, 1]`` with ``zero``."""
    legal = f"a number in {'[' if zero else '('}0, 1]"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PolicyError(field, value, legal)
    if not (0 <= value <= 1) or (value == 0 and not zero):
        raise PolicyError(field, value, legal)
    return float(value)


def choice(field: str, value: object, legal: tuple[str, ...]) -> None:
    """Check that a word is one of the legal ones."""
    if not isinstance(value, str) or value not in legal:
        raise PolicyError(field, value, "one of " + ", ".join(repr(word) for word in legal))


def is_async(function: object) -> bool:
    """Tell whether calling ``function`` gives a coroutine that nobody would await."""
    called = getattr(type(function), "__call__", None)  # noqa: B004  (an object may have an async __call__)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def plain_function(field: str, value: object) -> None:
    """Check that a rule is callable and not async: as a condition, a coroutine is always true."""
    if not callable(value) or is_async(value):
        raise PolicyError(field, value, "a plain function (not async: nobody would await it) or None")


def clock_and_random(clock: object, random: object) -> float:
    """Check both and return the present time.

    Raises:
        ConfigurationTypeError: one of them is not callable, or does not give a number.
    """
    for label, function in (("clock", clock), ("random", random)):
        if not callable(function) or is_async(function):
            raise ConfigurationTypeError(f"{label} must be a function without arguments, got {function!r}")
    now = cast("Callable[[], Any]", clock)()
    if isinstance(now, bool) or not isinstance(now, (int, float)) or not abs(now) <= _LARGEST:
        raise ConfigurationTypeError(f"clock must give a finite number of seconds, got {now!r}")
    return float(now)
