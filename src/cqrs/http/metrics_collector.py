"""What Prometheus is told of circuits, read from them whenever it asks."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cqrs.circuit_breaker import CircuitBreakers, CircuitEvent, State, StateChanged
from cqrs.circuit_breaker.gate import Gate
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.machine import Machine
from cqrs.circuit_breaker.phases import HalfOpen

_VALUES = {State.HALF_OPEN: 1, State.OPEN: 2, State.FORCED_OPEN: 2}

_USUAL = (
    (State.CLOSED, State.OPEN),
    (State.OPEN, State.HALF_OPEN),
    (State.HALF_OPEN, State.CLOSED),
    (State.HALF_OPEN, State.OPEN),
)
"""Transitions that are shown before they have happened, so that the first one is an increase."""

_Totals = tuple[int, int, int]
"""Errors, rejections, lost probes."""


class _Watched:
    """A registry of circuits, and how far each circuit had come when it was last read."""

    def __init__(self, breakers: CircuitBreakers) -> None:
        self.breakers = weakref.ref(breakers)
        self.last: dict[str, tuple[weakref.ref[Gate], _Totals]] = {}


class CircuitCollector(Collector):
    """Reads circuits when asked. A circuit that is dropped for idleness and made anew counts on.

    Args:
        prefix: begins all names.
        labels: gives the label of a circuit.
    """

    def __init__(self, prefix: str, labels: Callable[[str], str]) -> None:
        self._prefix = f"{prefix}_circuit_breaker"
        self._labels = labels
        self._lock = ForkedLock()  # held while circuits are read
        self._watched: list[_Watched] = []
        self._gone: dict[str, _Totals] = {}  # of circuits that are no more, by label
        # Told by whoever causes a transition, perhaps with a circuit's lock held: another lock.
        self._transitions_lock = ForkedLock()
        self._transitions: Counter[tuple[str, str, str]] = Counter()

    def watch(self, breakers: CircuitBreakers) -> None:
        """Show the circuits of a registry for as long as it lives."""
        with self._lock.mine():
            if any(watched.breakers() is breakers for watched in self._watched):
                return
            self._watched.append(_Watched(breakers))
        breakers.add_listener(self._told, inline=True, calls=False)

    def _told(self, event: CircuitEvent) -> None:
        if isinstance(event, StateChanged) and event.from_state is not event.to_state:
            key = self._labels(event.name), event.from_state.value, event.to_state.value
            with self._transitions_lock.mine():
                self._transitions[key] += 1

    def describe(self) -> Iterable[Metric]:
        """Return the families without their figures: what names are taken."""
        return self._families()

    def collect(self) -> Iterator[Metric]:
        """Return the figures of this moment."""
        state, errors, rejections, transitions, probes, lost, degraded = families = self._families()
        with self._lock.mine():
            states, live, totals, stores = self._read()
        for label, value in states.items():
            state.add_metric((label,), value)
            probes.add_metric((label,), live[label])
        for label, (failed, rejected, missing) in totals.items():
            errors.add_metric((label,), failed)
            rejections.add_metric((label,), rejected)
            lost.add_metric((label,), missing)
        with self._transitions_lock.mine():
            seen = dict(self._transitions)
        for label in totals:
            for before, after in _USUAL:
                seen.setdefault((label, before.value, after.value), 0)
        for key, count in seen.items():
            transitions.add_metric(key, count)
        for namespace, value in stores.items():
            degraded.add_metric((namespace,), value)
        yield from families

    # Requires lock: self._lock
    def _read(self) -> tuple[dict[str, int], dict[str, int], dict[str, _Totals], dict[str, int]]:
        states: dict[str, int] = {}
        live: dict[str, int] = {}
        stores: dict[str, int] = {}
        present: dict[str, _Totals] = {}
        for watched in list(self._watched):
            breakers = watched.breakers()
            names = () if breakers is None else tuple(breakers)
            for name in names:
                gate = _gate_of(breakers, name)
                if gate is None:  # dropped in between
                    continue
                value, running, totals = gate.read(_figures)
                known = watched.last.get(name)
                if known is not None and known[0]() is not gate:
                    self._keep(name, known[1])
                watched.last[name] = weakref.ref(gate), totals
                label = self._labels(name)
                states[label] = max(value, states.get(label, 0))
                live[label] = running + live.get(label, 0)
                present[label] = _sum(totals, present.get(label))
                del gate  # or the registry would take it for held
            for name in watched.last.keys() - set(names):
                self._keep(name, watched.last.pop(name)[1])
            if breakers is None:
                self._watched.remove(watched)
            elif (store := breakers.store) is not None:
                health = store.health()
                worse = max(int(health.degraded), stores.get(health.namespace, 0))
                stores[health.namespace] = worse
        return states, live, self._with_gone(present), stores

    def _with_gone(self, present: dict[str, _Totals]) -> dict[str, _Totals]:
        labels = dict.fromkeys((*self._gone, *present))
        return {label: _sum(present.get(label, (0, 0, 0)), self._gone.get(label)) for label in labels}

    def _keep(self, name: str, totals: _Totals) -> None:
        label = self._labels(name)
        self._gone[label] = _sum(totals, self._gone.get(label))

    def _families(
        self,
    ) -> tuple[
        GaugeMetricFamily,
        CounterMetricFamily,
        CounterMetricFamily,
        CounterMetricFamily,
        GaugeMetricFamily,
        CounterMetricFamily,
        GaugeMetricFamily,
    ]:
        prefix, client = self._prefix, ("client_name",)
        ways = ("client_name", "from_state", "to_state")
        return (
            GaugeMetricFamily(
                f"{prefix}_state", "State now: 0 closed, 1 half-open, 2 open or forced open.", labels=client
            ),
            CounterMetricFamily(f"{prefix}_errors", "Calls that counted as failures.", labels=client),
            CounterMetricFamily(f"{prefix}_rejections", "Calls that were not let through.", labels=client),
            CounterMetricFamily(f"{prefix}_transitions", "Changes of state.", labels=ways),
            GaugeMetricFamily(f"{prefix}_probes", "Probes of this process that run now.", labels=client),
            CounterMetricFamily(f"{prefix}_probes_lost", "Probes that did not end in time.", labels=client),
            GaugeMetricFamily(
                f"{prefix}_store_degraded",
                "Whether the store that shares the circuits does not answer.",
                labels=("namespace",),
            ),
        )


def _gate_of(breakers: CircuitBreakers | None, name: str) -> Gate | None:
    breaker = None if breakers is None else breakers.get(name)
    return None if breaker is None else breaker.gate


def _figures(machine: Machine, now: float) -> tuple[int, int, _Totals]:
    """Return state, running probes and totals. Requires the lock of the circuit; changes nothing."""
    totals, phase = machine.totals, machine.phase
    running = len(phase.live) if isinstance(phase, HalfOpen) else 0
    return _VALUES.get(machine.effective(now)[0], 0), running, (totals.failed, totals.rejected, totals.lost)


def _sum(some: _Totals, more: _Totals | None) -> _Totals:
    return some if more is None else (some[0] + more[0], some[1] + more[1], some[2] + more[2])
