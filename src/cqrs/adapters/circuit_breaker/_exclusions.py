"""Which errors of a guarded call say nothing against the dependency."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

logger = logging.getLogger(__name__)

Exclusion: TypeAlias = type[BaseException] | Callable[[Exception], object]
"""An exception class, or a predicate over the exception."""


class Exclusions:
    """Exception classes and predicates, asked in that order.

    The libraries recognise a class by ``type(x) is type`` and call everything else: a class with a metaclass
    of its own would be *instantiated* with the error, and every error would count as excluded. So the
    decision is taken here, and the libraries are only told the verdict.

    Raises:
        TypeError: ``exclude`` is not an iterable, or holds something that is neither an exception class nor
            callable.
    """

    def __init__(self, exclude: Iterable[Exclusion] | None) -> None:
        given = () if exclude is None else exclude
        if isinstance(cast(object, given), type) or not isinstance(cast(object, given), Iterable):
            raise TypeError(f"exclude must be a list of exception classes and predicates, not {given!r}")
        classes: list[type[BaseException]] = []
        predicates: list[Callable[[Exception], object]] = []
        for item in given:
            if isinstance(item, type):
                if not issubclass(item, BaseException):
                    raise TypeError(
                        f"exclude holds the class {item.__qualname__}, which is no exception class"
                    )
                classes.append(item)
            elif callable(cast(object, item)):
                predicates.append(item)
            else:
                raise TypeError(f"exclude holds {item!r}: neither an exception class nor a predicate")
        self._classes = tuple(classes)
        self._predicates = tuple(predicates)

    def cover(self, error: Exception) -> bool:
        """Tell whether ``error`` is excluded; a predicate that raises counts as a no, and is logged."""
        return isinstance(error, self._classes) or any(
            self._ask(predicate, error) for predicate in self._predicates
        )

    @staticmethod
    def _ask(predicate: Callable[[Exception], object], error: Exception) -> bool:
        try:
            return bool(predicate(error))
        except Exception:
            logger.exception("exclusion predicate %r failed; the error counts as a failure", predicate)
            return False
