"""One process whose circuit is shared: the real session and gate, with a simulated way to the store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator

from cqrs.circuit_breaker import CircuitBreakerPolicy, State
from cqrs.circuit_breaker.events import CircuitEvent, StoreDegraded, StoreRecovered
from cqrs.circuit_breaker.fleet.candidate import UNDECIDED, Candidate
from cqrs.circuit_breaker.fleet.gate import ATTEMPTS, FleetGate
from cqrs.circuit_breaker.fleet.machine import SharedMachine
from cqrs.circuit_breaker.fleet.session import Session
from cqrs.circuit_breaker.fleet.view import RAMPING
from cqrs.circuit_breaker.gate import Token
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.simulation.agenda import VirtualClock
from cqrs.simulation.network import Link, VirtualStore
from cqrs.simulation.process import Process
from cqrs.simulation.store import NAMESPACE

IDENTITY = "dependency"
LOGGERS = "cqrs.circuit_breaker.fleet."


class Observer(ListenerHub):
    """Hears of each change of one process's circuit, without costing what a listener costs."""

    __slots__ = ("_changed", "degraded", "fresh")

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed
        self.fresh = False
        self.degraded = False

    def enqueue(self, events: list[CircuitEvent]) -> None:
        self.fresh = True
        for event in events:
            if isinstance(event, (StoreDegraded, StoreRecovered)):
                self.degraded = isinstance(event, StoreDegraded)

    def deliver(self) -> None:
        if self.fresh:
            self.fresh = False
            self._changed()


class SharedProcess(Process):
    """A caller whose circuit is shared with all others through one store."""

    __slots__ = (
        "_observer",
        "_phase",
        "_seen",
        "_settled",
        "counted_as_degraded",
        "fleet_gate",
        "session",
    )

    def __init__(
        self,
        name: str,
        policy: CircuitBreakerPolicy,
        clock: VirtualClock,
        random: Callable[[], float],
        store: VirtualStore,
        changed: Callable[[SharedProcess], None],
    ) -> None:
        settings = store.shared.settings
        session = self.session = Session(settings, clock, random)
        session.node = name  # not random: the same arguments give the same run
        observer = self._observer = Observer(lambda: changed(self))
        machine = SharedMachine(IDENTITY, policy, clock.now, random, session.numbers)
        gate = FleetGate(machine, clock, (observer,), session, IDENTITY)
        session.add(gate, (observer,))
        super().__init__(gate)
        self.fleet_gate = gate
        self.counted_as_degraded = self._settled = False
        self._phase = machine.phase
        self._seen: tuple[State, str | None] = (State.CLOSED, None)
        self.look(clock.now)
        link = Link(store, session)
        session.transport = link
        link.meet()
        session.next_sync = clock.now + settings.sync_interval * random()  # long since out of step
        link.tick_at(session.next_sync)

    def look(self, now: float) -> None:
        machine = self.fleet_gate.shared
        phase = machine.phase
        if phase is self._phase and machine.barrier is None and self._settled:
            return  # closed, and nothing has changed: most calls
        self._phase = phase
        seen = machine.effective(now)
        self._settled = seen[0] is State.CLOSED
        if seen != self._seen:
            self._seen = seen
            self.history.note(now, *seen)

    @property
    def degraded(self) -> bool:
        """Whether it has lost the store and decides alone."""
        return self._observer.degraded

    @property
    def ramp_ends(self) -> float | None:
        """The second at which a ramp of the fleet ends, without any call noticing."""
        barrier = self.fleet_gate.shared.barrier
        if barrier is None or barrier.kind is not RAMPING or barrier.ramp is None:
            return None
        return barrier.started + barrier.ramp.duration

    # ------------------------------------------------------------------ calls that ask the fleet

    def conclude(self, token: Candidate, attempt: int) -> Token:
        """Go on after a wait, as ``FleetGate.complete`` does; what is returned may have to wait again.

        Raises:
            CircuitOpenError: the call may not pass.
        """
        gate = self.fleet_gate
        if gate.concluded(token):
            return token
        entered = gate.enter()
        return gate.give_up(entered) if attempt >= ATTEMPTS else entered

    def leave(self, token: Candidate) -> bool:
        """Stop waiting, if the store has not answered."""
        if token.verdict is not UNDECIDED:
            return False
        self.fleet_gate.leave_unanswered(token)
        return True


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Keep ten thousand simulated processes from warning that their simulated store is lost."""

    def keep(record: logging.LogRecord) -> bool:
        return not (isinstance(record.args, tuple) and NAMESPACE in record.args)

    known = logging.root.manager.loggerDict
    loggers = [logging.getLogger(name) for name in list(known) if name.startswith(LOGGERS)]
    for logger in loggers:
        logger.addFilter(keep)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(keep)
