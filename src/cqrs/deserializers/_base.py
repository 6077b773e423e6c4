"""What the deserializers share: how failures are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

from cqrs.circuit_breaker import validation
from cqrs.deserializers.protocol import Data, as_bytes, told
from cqrs.exceptions import ConfigurationError, DeserializationError

T = TypeVar("T")


class ModelDeserializer(Generic[T]):
    """Reads bytes in one step, builds the model in a second one, and tells failures of both alike."""

    error_type: ClassVar[type[DeserializationError]]

    def __init__(
        self,
        model: str,
        read: Callable[[bytes], Any],
        build: Callable[[Any], Any] | None,
        errors: Literal["raise", "return"],
    ) -> None:
        validation.choice("errors", errors, ("raise", "return"))
        self._model = model
        self._read = read
        self._build = build
        self._returns = errors == "return"

    @overload
    def __call__(self, data: Data) -> T: ...
    @overload
    def __call__(self, data: None) -> None: ...
    def __call__(self, data: Data | None) -> Any:
        """Return the model; ``None`` for ``None``, which is what a Kafka tombstone holds.

        Raises:
            DeserializationError: the data cannot be read, or not as the model.
            NotImplementedError: the model cannot be built yet.
        """
        if data is None:
            return None
        try:
            value = self._read(as_bytes(data))
            return value if self._build is None else self._build(value)
        except (ConfigurationError, NotImplementedError):
            raise  # something is wrong with the program, not with the data
        except Exception as error:
            failure = self.error_type(self._model, told(error))
            if not self._returns:
                raise failure from error
            failure.__cause__ = error
            return failure
