"""The manual form: a permit that the caller settles, or a block that settles by how it ends."""

from __future__ import annotations

from types import TracebackType

from cqrs.circuit_breaker.gate import Gate
from cqrs.circuit_breaker.phases import SETTLED, Grant
from cqrs.circuit_breaker.verdict import Trip, Verdict
from cqrs.exceptions import ConfigurationTypeError


class Permit:
    """The right to make one call. Settle it exactly once, from any thread or task."""

    __slots__ = ("_gate", "grant")

    def __init__(self, gate: Gate, grant: Grant) -> None:
        self._gate = gate
        self.grant = grant

    @property
    def era(self) -> int:
        """Era of the circuit that granted the permit."""
        return self.grant.phase.era

    @property
    def kind(self) -> str:
        """``"probe"`` in a half-open circuit, else ``"lane"``."""
        return self.grant.kind

    @property
    def id(self) -> int:
        """Number of the probe within its era, from 1; 0 for a permit that is no probe."""
        return self.grant.number

    @property
    def timeout(self) -> float | None:
        """Seconds that the policy grants the call; only probes are limited."""
        return self.grant.limit

    @property
    def settled(self) -> bool:
        """Whether the permit has been settled."""
        return self.grant.mark == SETTLED

    def settle(self, verdict: Verdict | Trip, error: BaseException | None = None) -> bool:
        """Settle the permit; ``False`` when it no longer mattered (a later era, or settled before).

        Args:
            error: what the call raised, kept as text for ``last_failure``.

        Raises:
            ConfigurationTypeError: ``verdict`` is neither a ``Verdict`` nor a ``Trip``.
        """
        if not isinstance(verdict, (Verdict, Trip)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"a permit is settled with a Verdict or a Trip, not {verdict!r}")
        return self._gate.settle(self.grant, verdict, error)

    def success(self) -> bool:
        """Settle as a success."""
        return self.settle(Verdict.SUCCESS)

    def failure(self, error: BaseException | None = None) -> bool:
        """Settle as a failure, whatever the policy's filters say."""
        return self.settle(Verdict.FAILURE, error)

    def ignore(self) -> bool:
        """Settle as an answer that says nothing about health."""
        return self.settle(Verdict.IGNORED)

    def drop(self) -> bool:
        """Give the permit back unused: the call was never made."""
        return self._gate.withdraw(self.grant)

    def classify(self, result: object) -> None:
        """Settle by what the policy makes of a returned value."""
        self._gate.leave(self.grant, result)

    def fail(self, error: BaseException) -> None:
        """Settle by what the policy makes of an exception.

        Raises:
            ConfigurationTypeError: ``error`` is no exception.
        """
        if not isinstance(error, BaseException):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"fail() takes the exception that the call raised, not {error!r}")
        self._gate.fail(self.grant, error)

    def answered(self) -> None:
        """Note the first item of a stream: slow or not is decided by the time until here."""
        self._gate.answered(self.grant)


class PermitBlock:
    """``with`` or ``async with``: admits on entry, settles by how the block ends unless it did so itself."""

    __slots__ = ("_gate", "_permit")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._permit: Permit | None = None

    def __enter__(self) -> Permit:
        self._check_fresh()
        self._permit = Permit(self._gate, self._gate.acquire())
        return self._permit

    def _check_fresh(self) -> None:
        if self._permit is not None:
            raise RuntimeError("a permit block is entered once; call permit() for each block")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        permit = self._permit
        if permit is None or permit.settled:
            return
        if error is None:
            self._gate.succeed(permit.grant)
        else:
            permit.fail(error)

    async def __aenter__(self) -> Permit:
        self._check_fresh()
        self._permit = Permit(self._gate, await self._gate.acquire_async())
        return self._permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
