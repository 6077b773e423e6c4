"""The steps of a saga class, ready to run in one container."""

from __future__ import annotations

from typing import Any

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.attempts import compile_attempts
from cqrs.dispatcher.guarded import guarded_step
from cqrs.dispatcher.scope import DispatchScope, check_container, check_resolved
from cqrs.saga.fallback import Fallback
from cqrs.saga.step import SagaStepHandler


class StepPlan:
    """One position of a saga.

    Attributes:
        position: place of the step, from 0.
        name: name of the class that is asked first, as the log has it.
        names: names of all classes that may act.
        uncertain: names of those that are compensated even if their ``act`` fails.
        step: the guarded step; it returns the instance that acted and its result.
        direct: what builds the one class that may act, if building and asking it is all there is to do.
        has_fallbacks: whether the context must be copied before it acts.
        needs_scope: whether a class must be resolved in a scope.
    """

    __slots__ = (
        "_attempts",
        "_container",
        "direct",
        "has_fallbacks",
        "name",
        "names",
        "needs_scope",
        "position",
        "step",
        "uncertain",
    )

    def __init__(
        self, container: Resolver, position: int, declared: type[SagaStepHandler[Any, Any]] | Fallback
    ) -> None:
        attempts = compile_attempts(container, declared)
        self._attempts = {attempt.handler.__name__: attempt for attempt in attempts}
        self._container = container
        self.position = position
        self.name: str = attempts[0].handler.__name__
        self.names = tuple(self._attempts)
        self.uncertain = tuple(
            name for name, attempt in self._attempts.items() if attempt.handler.compensate_on_failure
        )
        self.step = guarded_step(attempts)
        self.direct = attempts[0].direct if len(attempts) == 1 else None
        self.has_fallbacks = len(attempts) > 1
        self.needs_scope = any(attempt.needs_scope for attempt in attempts)

    def class_of(self, name: str) -> type[SagaStepHandler[Any, Any]]:
        """Return the class that has acted under ``name``."""
        return self._attempts[name].handler

    def name_of(self, handler: SagaStepHandler[Any, Any]) -> str:
        """Return the name under which an instance has acted; a container may build subclasses."""
        own = type(handler)
        exact = (name for name, attempt in self._attempts.items() if attempt.handler is own)
        fitting = (name for name, attempt in self._attempts.items() if issubclass(own, attempt.handler))
        return next(exact, None) or next(fitting, self.name)

    async def build(self, name: str, scope: DispatchScope | None) -> SagaStepHandler[Any, Any]:
        """Return an instance of the class that has acted under ``name``, to compensate it.

        Raises:
            ResolutionError: the container cannot build it.
        """
        attempt = self._attempts[name]
        if attempt.create is not None:
            built: SagaStepHandler[Any, Any] = attempt.create()
            return built
        handler = await (self._container if scope is None else scope).resolve(attempt.handler)
        check_resolved(handler, attempt.handler)
        return handler  # type: ignore[no-any-return]  # just checked


class SagaPlan:
    """All positions of a saga.

    Attributes:
        container: builds the steps.
        steps: the positions, in order.
        declared: the names that may act, by position.
        needs_scope: whether a step must be resolved in a scope.

    Raises:
        ConfigurationError: ``container`` is no container.
        ResolutionError: it cannot build a step.
    """

    __slots__ = ("container", "declared", "needs_scope", "steps")

    def __init__(
        self, container: Resolver, declared: tuple[type[SagaStepHandler[Any, Any]] | Fallback, ...]
    ) -> None:
        check_container(container)
        self.container = container
        self.steps = tuple(StepPlan(container, place, step) for place, step in enumerate(declared))
        self.declared = tuple(step.names for step in self.steps)
        self.needs_scope = any(step.needs_scope for step in self.steps)


class SagaPlans:
    """The plans of one saga class, for the containers that were used last."""

    __slots__ = ("_declared", "_last", "_plans")

    LIMIT = 8
    """How many containers are remembered: those that live for one request must not pile up."""

    def __init__(self, declared: tuple[type[SagaStepHandler[Any, Any]] | Fallback, ...]) -> None:
        self._declared = declared
        self._plans: dict[int, SagaPlan] = {}
        self._last: SagaPlan | None = None

    def of(self, container: Resolver) -> SagaPlan:
        """Return the plan for ``container``.

        Raises:
            ConfigurationError: it is no container.
            ResolutionError: it cannot build a step.
        """
        plan = self._last
        if plan is not None and plan.container is container:
            return plan
        # By identity: a container need not be hashable. A plan keeps it, so that its id stays taken.
        plan = self._plans.get(id(container))
        if plan is None:
            plan = SagaPlan(container, self._declared)
            while len(self._plans) >= self.LIMIT:
                self._plans.pop(next(iter(self._plans)), None)  # another thread may have been faster
            self._plans[id(container)] = plan
        self._last = plan
        return plan
