"""Which of the two libraries with the API of httpx is meant; both may be installed."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from cqrs.exceptions import ConfigurationError

NAMES = ("httpx2", "httpx")
"""In order of preference."""


def named(library: ModuleType | str | None) -> Any:
    """Return a library; ``None``: the first that is installed.

    Raises:
        ImportError: it is not installed.
        ConfigurationError: it is neither of the two.
    """
    if isinstance(library, ModuleType):
        return library
    if library is not None and library not in NAMES:
        raise ConfigurationError(f"library must be one of {', '.join(NAMES)}, not {library!r}")
    for name in NAMES if library is None else (library,):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    wanted = library or NAMES[0]
    raise ImportError(f'{wanted} is not installed: pip install "holdfast[{wanted}]"')


def of(thing: object, *kinds: str) -> Any | None:
    """Return the library one of whose classes, of these names, ``thing`` is an instance of."""
    for name in NAMES:
        library = sys.modules.get(name)
        if library is not None and isinstance(thing, tuple(getattr(library, kind) for kind in kinds)):
            return library
    return None
