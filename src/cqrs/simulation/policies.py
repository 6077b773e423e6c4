"""Policies as words of a command line: ``default``, ``consecutive:5:30``, with fields after commas."""

from __future__ import annotations

import dataclasses
from typing import Any

from cqrs.circuit_breaker import Backoff, CircuitBreakerPolicy, CountWindow, Ramp, TimeWindow
from cqrs.exceptions import ConfigurationError

FIELDS = tuple(
    field.name
    for field in dataclasses.fields(CircuitBreakerPolicy)
    if field.init
    and field.name
    not in ("record", "ignore", "record_result", "classify", "on_classifier_error", "initial_mode")
)
"""Fields that can be given as text; the others are code, or change nothing in a simulation."""


def parse_policy(text: str) -> CircuitBreakerPolicy | None:
    """Return the policy that ``text`` describes; ``None`` for ``"none"``.

    Args:
        text: a preset (``none``, ``default``, ``consecutive[:threshold[:ttl]]``), then ``,field=value`` for
            each field that differs. Numbers as usual; ``none`` switches a field off; parts of a value are
            separated by colons: ``recovery_ramp=10:0.1``, ``wait_duration_in_open=5:2:120:0.2``,
            ``sliding_window=30:10`` (seconds, buckets) or ``sliding_window=100calls``.

    Raises:
        ConfigurationError: it cannot be understood, or (``PolicyError``) a value is out of range.

    >>> parse_policy("consecutive:3:10,recovery_ramp=20:0.2").recovery_ramp
    Ramp(duration=20.0, initial=0.2)
    """
    preset, *assignments = text.split(",")
    fields: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or name not in FIELDS:
            raise ConfigurationError(
                f"{assignment!r} in {text!r} must be FIELD=VALUE, FIELD one of {', '.join(FIELDS)}"
            )
        fields[name] = _value(name, value)
    word, *numbers = preset.split(":")
    if word == "consecutive" and len(numbers) <= 2:
        arguments = [_number(number, text) for number in numbers]
        return CircuitBreakerPolicy.consecutive(*arguments, **fields)
    if word == "default" and not numbers:
        return CircuitBreakerPolicy(**fields)
    if preset == "none" and not fields:
        return None
    raise ConfigurationError(
        f"{text!r} is no policy: say none, default or consecutive[:threshold[:ttl]], then ,field=value"
    )


def _value(name: str, text: str) -> Any:
    words: dict[str, Any] = {"none": None, "true": True, "false": False}
    if text in words:
        return words[text]
    if name == "sliding_window":
        if text.endswith("calls"):
            return CountWindow(_number(text.removesuffix("calls"), text))
        return TimeWindow(*_numbers(text, 2))
    if name == "recovery_ramp":
        return Ramp(*_numbers(text, 2))
    if name == "wait_duration_in_open":
        numbers = _numbers(text, 4)
        return numbers[0] if len(numbers) == 1 else Backoff(*numbers)
    if name.startswith("on_"):
        return text
    return _number(text, text)


def _numbers(text: str, most: int) -> list[Any]:
    parts = text.split(":")
    if len(parts) > most:
        raise ConfigurationError(f"{text!r} has {len(parts)} parts, {most} at most are known")
    return [_number(part, text) for part in parts]


def _number(word: str, text: str) -> Any:
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        raise ConfigurationError(f"{word!r} in {text!r} is no number") from None
