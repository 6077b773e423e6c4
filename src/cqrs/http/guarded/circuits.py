"""What the guards of plain HTTP clients have in common: circuits by key, rules, and how a response settles.

Each call is admitted and settled by the three steps of the gate; a body that is still to come keeps its
permit until it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, cast

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError, Verdict
from cqrs.circuit_breaker.gate import Gate, Token
from cqrs.circuit_breaker.phases import Grant
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.http.outcomes import Outcomes, Settlement

Key: TypeAlias = Literal["host", "client"] | Callable[[Any], str]
Excluded: TypeAlias = Literal["ignored", "success"]
Guards: TypeAlias = CircuitBreakers | CircuitBreakerPolicy | None

_SUCCESS = Verdict.SUCCESS


class Circuits:
    """Circuits of one guard.

    Args:
        breakers: a registry, or a policy for one of its own; ``None``: ``consecutive(threshold, ttl)``.
        key: ``"host"``, ``"client"`` or a function of the request.
        name: name of the circuit when the key is ``"client"``.
        threshold: failures in a row that open a circuit; >= 1.
        ttl: seconds that it stays open; > 0.
        place_of: returns what tells the host and port of a request, quickly.
        host_of: returns the host for that, with the port when it is not the usual one.
        outcomes: what counts.

    Raises:
        ConfigurationError: an argument is of the wrong kind, or out of range.
    """

    def __init__(
        self,
        breakers: Guards,
        key: Key,
        name: str | None,
        threshold: int,
        ttl: float,
        place_of: Callable[[Any], object],
        host_of: Callable[[Any], str],
        outcomes: Outcomes,
    ) -> None:
        if breakers is None:
            breakers = CircuitBreakerPolicy.consecutive(threshold, ttl)
        if isinstance(breakers, CircuitBreakerPolicy):
            breakers = CircuitBreakers(breakers)
        if not isinstance(breakers, CircuitBreakers):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(
                f"a CircuitBreakers or a CircuitBreakerPolicy is needed, not {breakers!r}"
            )
        if (key == "client") != (name is not None):
            raise ConfigurationError('key="client" and name="…" belong together: the name of the circuit')
        self.breakers: CircuitBreakers = breakers
        self.outcomes = outcomes
        self.one: Gate | None = None
        """The only circuit, when there is only one."""
        self._place_of: Callable[[Any], object] | None = None
        self._last: tuple[object, Gate | None] = (None, None)
        if key == "client":
            self.one = breakers[cast("str", name)].gate
        elif key == "host":
            self._place_of = place_of
            self._key_of = host_of
        elif callable(key):
            self._key_of = key
        else:
            raise ConfigurationError(
                f"key must be 'host', 'client', or a function that returns a name for a request, not {key!r}"
            )

    def of(self, request: Any) -> Gate:
        """Return the gate of the circuit of a request.

        But for the one used last they are not kept, so that idle circuits can go.
        """
        if self._place_of is None:
            return self.one or self.breakers[self._key_of(request)].gate
        place = self._place_of(request)
        last, gate = self._last
        if gate is None or last != place:
            gate = self.breakers[self._key_of(place)].gate
            self._last = (place, gate)
        return gate

    def failed(self, gate: Gate, token: Token, error: BaseException) -> None:
        """Settle a call that raised."""
        Settlement(gate, self.outcomes).failed(token, error)

    def answered(
        self, gate: Gate, token: Token, status: int, headers: Mapping[str, str], response: object
    ) -> None:
        """Settle a call whose response is complete, or says all that there is to know by its status."""
        Settlement(gate, self.outcomes).answered(token, status, headers, response)

    def begun(
        self, gate: Gate, token: Token, status: int, headers: Mapping[str, str], response: object
    ) -> Held | None:
        """Note that a response has begun: settle the call, or return the permit that its body holds."""
        outcomes = self.outcomes
        if status < 300 or outcomes.of_status(status, headers) is None:
            gate.answered(token)
            judge = gate.machine.policy.judge
            if not judge.judges_results:
                return Held(self, gate, token)
            duration = token.duration(gate.clock()) if isinstance(token, Grant) else None
            verdict = judge.of_result(response, duration)
            if verdict is _SUCCESS:
                return Held(self, gate, token)
            gate.settle(token, verdict)
            return None
        self.answered(gate, token, status, headers, response)
        return None


class Held:
    """The permit of a call whose body is still being read; settles once."""

    __slots__ = ("_circuits", "_gate", "_token")

    def __init__(self, circuits: Circuits, gate: Gate, token: Token) -> None:
        self._circuits = circuits
        self._gate = gate
        self._token: Token | None = token

    def ended(self) -> None:
        """Settle: the body was read to its end, or closed by the caller, who had a good answer by then."""
        token, self._token = self._token, None
        if token is not None:
            self._gate.succeed(token)

    def failed(self, error: BaseException) -> None:
        """Settle: reading the body raised."""
        token, self._token = self._token, None
        if token is not None:
            self._circuits.failed(self._gate, token, error)

    def __del__(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            self._gate.abandon(token, _SUCCESS)  # a garbage collector may be the caller


def rejection(kind: type[CircuitOpenError], refused: CircuitOpenError) -> CircuitOpenError:
    """Return a rejection as an error of the client's own tree."""
    error = kind.__new__(kind)
    error.args = refused.args
    return error


def rebuilt(find: Callable[..., type[CircuitOpenError]], where: tuple[Any, ...], args: Any) -> Any:
    """Return an unpickled rejection."""
    kind = find(*where)
    error = kind.__new__(kind)
    error.args = args
    return error
