"""Which saga is executed for which context."""

from __future__ import annotations

from typing import Any, ClassVar

from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.declarations import check_message_type, is_subclass, type_name
from cqrs.dispatcher.handlers import RunsSagas
from cqrs.exceptions import HandlerTypeError, SagaDefinitionError

__all__ = ["SagaMap"]


class SagaMap(BindingMap[type[RunsSagas]]):
    """Binds each type of context to a saga class, once: ``sagas.bind(OrderContext, OrderSaga)``.

    >>> SagaMap().bind(int, str)
    Traceback (most recent call last):
    cqrs.exceptions.HandlerTypeError: <class 'str'> cannot be bound to int: it must be a Saga class
    """

    binds: ClassVar[str] = "saga"

    def bind(self, context_type: type[Any], saga: type[RunsSagas]) -> None:
        """Bind ``context_type`` to a saga class.

        Raises:
            KeyError: the context type is bound already.
            TypeError: ``saga`` is not a saga class, declares no steps, or is declared for another context; or
                another class of its name is bound, so that a recovery could not tell their sagas apart.
        """
        check_message_type("context type", context_type)
        if context_type in self:
            raise KeyError(f"{context_type} already exists in registry")
        if not is_subclass(saga, RunsSagas):
            raise HandlerTypeError(
                f"{saga!r} cannot be bound to {type_name(context_type)}: it must be a Saga class"
            )
        saga.check_context_type(context_type)
        for other in self.values():
            if other is not saga and other.saga_name == saga.saga_name:
                raise SagaDefinitionError(
                    f"{saga.__module__}.{saga.__qualname__} and {other.__module__}.{other.__qualname__} are "
                    f"both named {saga.saga_name!r} in the storage; give one of them another saga_name"
                )
        self._set(context_type, saga)
