"""Turns the end of a call into a verdict. All user code of a policy runs here, never under a lock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.verdict import (
    CANCELLED,
    FAILURE,
    IGNORED,
    INCONCLUSIVE,
    SUCCESS,
    Outcome,
    Trip,
    Verdict,
)
from cqrs.exceptions import ConfigurationError, CqrsError, PolicyError, ResolutionError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """The fields of a policy that judge calls, as the user gave them."""

    record: object
    ignore: object
    record_result: Callable[[Any], bool] | None
    classify: Callable[[Outcome], Verdict | Trip | None] | None
    on_error: Verdict


class Judge:
    """Applies the rules of one policy; stateless but for remembering that it has logged a broken rule."""

    __slots__ = (
        "_classify",
        "_ignore",
        "_logged",
        "_on_error",
        "_plain",
        "_record",
        "_record_result",
        "_rules",
        "asks_duration",
        "judges_results",
    )

    def __init__(self, rules: JudgeRules) -> None:
        self._record = None if rules.record is None else _matcher("record", rules.record)
        if rules.record is not None and self._record is None:
            raise PolicyError(
                "record", rules.record, "None, or at least one exception type: nothing would count"
            )
        self._ignore = _matcher("ignore", rules.ignore)
        for name in ("record_result", "classify"):
            if getattr(rules, name) is not None:
                validation.plain_function(name, getattr(rules, name))
        self._record_result = rules.record_result
        self._classify = rules.classify
        self._on_error = rules.on_error
        self._logged = False
        self._rules = rules
        self.judges_results = rules.record_result is not None or rules.classify is not None
        self.asks_duration = rules.classify is not None
        self._plain = rules.classify is None and self._ignore is None and self._record is None

    def __reduce__(self) -> tuple[type[Judge], tuple[JudgeRules]]:
        return Judge, (self._rules,)

    @property
    def can_fail(self) -> bool:
        """Whether any call can be a failure, as far as the rules can be known without running them."""
        ignored, recorded = _types(self._rules.ignore), _types(self._rules.record or Exception)
        if self.judges_results or ignored is None or recorded is None:
            return True
        return any(not issubclass(kind, ignored) for kind in recorded)

    def of_result(
        self, result: object, duration: float | None, otherwise: Verdict | Trip = SUCCESS
    ) -> Verdict | Trip:
        """Judge a call that returned; ``otherwise``: the verdict when no rule of the policy has one."""
        try:
            if self._classify is not None:
                verdict = self._classified(Outcome(result, None, duration))
                if verdict is not None:
                    return verdict
            if self._record_result is not None and self._record_result(result):
                return FAILURE
        except Exception as error:
            return self._broken(error)
        return otherwise

    def of_error(
        self, error: BaseException, duration: float | None, otherwise: Verdict | Trip = FAILURE
    ) -> Verdict | Trip:
        """Judge a call that raised; ``otherwise``: the verdict when no rule of the policy has one.

        What is not an ``Exception`` (cancellation, interpreter exit) is CANCELLED, and what the container has
        no way to build is IGNORED; neither is shown to a rule.
        """
        if not isinstance(error, Exception):
            return CANCELLED
        if isinstance(error, ResolutionError):
            return IGNORED
        if self._plain:
            return _neutral(error) if isinstance(error, (CircuitOpenError, ConfigurationError)) else otherwise
        try:
            if self._classify is not None:
                verdict = self._classified(Outcome(None, error, duration))
                if verdict is not None:
                    return verdict
            if self._ignore is not None and all(self._ignore(leaf) for leaf in _parts(error)):
                return IGNORED
            if isinstance(error, (CircuitOpenError, ConfigurationError)):
                return _neutral(error)
            if self._record is None:
                return otherwise
            if any(self._record(leaf) for leaf in _parts(error)):
                return FAILURE
        except Exception as rule_error:
            return self._broken(rule_error)
        return IGNORED

    def _classified(self, outcome: Outcome) -> Verdict | Trip | None:
        assert self._classify is not None
        verdict = cast(object, self._classify(outcome))  # the user's code may return anything
        if verdict is None or isinstance(verdict, (Verdict, Trip)):
            return verdict
        raise TypeError(f"classify returned {verdict!r}; it must return a Verdict, a Trip or None")

    def _broken(self, error: Exception) -> Verdict:
        if not self._logged:
            self._logged = True
            logger.error(
                "a classification rule of a circuit breaker policy raised; such calls count as %s",
                self._on_error,
                exc_info=error,
            )
        return self._on_error


def _neutral(error: CqrsError) -> Verdict:
    """Judge our own errors: they say nothing about the dependency.

    The rejection of a breaker further in: the dependency behind this one was not reached. A wrong
    declaration: a mistake of the program.
    """
    return INCONCLUSIVE if isinstance(error, CircuitOpenError) else IGNORED


def _matcher(field: str, given: object) -> Callable[[Exception], bool] | None:
    """Return a predicate for an exception filter; ``None`` when it matches nothing."""
    legal = "an exception type, a tuple of exception types, or a plain (not async) predicate"
    if isinstance(given, (type, tuple, list)):
        types = tuple(cast("Sequence[object]", (given,) if isinstance(given, type) else given))
        for item in types:
            if not (isinstance(item, type) and issubclass(item, Exception)):
                # CancelledError, KeyboardInterrupt and the like are never counted, so never filtered either.
                raise PolicyError(field, cast(Any, item), legal)
        kinds = cast("tuple[type[Exception], ...]", types)
        return (lambda error: isinstance(error, kinds)) if kinds else None
    if callable(given) and not validation.is_async(given):
        return cast("Callable[[Exception], bool]", given)
    raise PolicyError(field, given, legal)


def _types(given: object) -> tuple[type[Exception], ...] | None:
    """Return the types of an exception filter, ``None`` when it is a predicate."""
    if isinstance(given, type):
        return (cast("type[Exception]", given),)
    return cast("tuple[type[Exception], ...]", given) if isinstance(given, tuple) else None


def _parts(error: Exception) -> Iterator[Exception]:
    """Yield ``error``, or what an exception group holds (``ignore``: all of it; ``record``: any of it)."""
    if isinstance(error, ExceptionGroup):
        for inner in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _parts(inner)
    else:
        yield error
