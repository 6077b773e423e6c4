"""Checks of arguments."""

from __future__ import annotations

from cqrs.exceptions import ConfigurationError


def count(name: str, value: object, least: int) -> int:
    """Return a whole number, at least ``least``.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise ConfigurationError(f"{name} must be a whole number >= {least}, not {value!r}")
