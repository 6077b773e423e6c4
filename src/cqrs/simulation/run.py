"""The two functions that applications call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cqrs.circuit_breaker import CircuitBreakerPolicy
from cqrs.circuit_breaker.breaker import check_policy
from cqrs.circuit_breaker.validation import count
from cqrs.exceptions import ConfigurationTypeError
from cqrs.simulation.engine import Engine
from cqrs.simulation.network import VirtualStore
from cqrs.simulation.process import History
from cqrs.simulation.result import SimulationResult, Spread, StoreUse
from cqrs.simulation.scenario import Scenario
from cqrs.simulation.store import SharedStore


def simulate(
    policy: CircuitBreakerPolicy | None,
    scenario: Scenario,
    *,
    processes: int = 100,
    seed: int = 1,
    store: SharedStore | None = None,
) -> SimulationResult:
    """Return what ``policy`` would have done in ``scenario``.

    The same arguments give the same result, and the same ``scenario``, ``processes`` and ``seed`` give every
    policy the same calls with the same luck.

    Args:
        policy: ``None``: no circuit breakers, for comparison.
        scenario: one of ``SCENARIOS``, or your own.
        processes: number of callers; >= 1.
        seed: any whole number.
        store: shares one circuit between all processes; ``None``: each has a circuit of its own.

    Raises:
        ConfigurationTypeError: ``policy``, ``scenario`` or ``store`` is of the wrong kind.
        PolicyError: ``processes`` or ``seed`` is out of range.
    """
    if policy is not None:
        check_policy(policy)
    if not isinstance(scenario, Scenario):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"scenario must be a Scenario, got {scenario!r}")
    count("processes", processes)
    if isinstance(seed, bool) or not isinstance(seed, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"seed must be a whole number, got {seed!r}")
    if store is not None and not isinstance(store, SharedStore):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"store must be a SharedStore, got {store!r}")
    engine = Engine(policy, scenario, processes, seed, store)
    engine.run()
    return _result(engine, policy, scenario, seed)


def compare(
    policies: Mapping[str, CircuitBreakerPolicy | None],
    scenario: Scenario,
    *,
    processes: int = 100,
    seed: int = 1,
    store: SharedStore | None = None,
) -> dict[str, SimulationResult]:
    """Return the results of several policies, by the names that you give them; arguments as ``simulate``."""
    return {
        name: simulate(policy, scenario, processes=processes, seed=seed, store=store)
        for name, policy in policies.items()
    }


def _result(
    engine: Engine, policy: CircuitBreakerPolicy | None, scenario: Scenario, seed: int
) -> SimulationResult:
    tally = engine.tally
    store = engine.store
    slots = tally.slots(None if store is None else store.commands)
    sums = {
        name: sum(getattr(slot, name) for slot in slots)
        for name in ("answered", "rejected", "failed", "cancelled")
    }
    histories = [process.history for process in engine.processes]
    recovered = _recovered_at(scenario)
    return SimulationResult(
        scenario=scenario.name,
        processes=len(histories),
        seed=seed,
        duration=scenario.duration,
        guarded=policy is not None,
        arrivals=sum(sums.values()),
        **sums,
        timed_out=tally.timed_out,
        leaked=tally.leaked,
        needless_rejections=tally.needless,
        waited=tally.waited,
        time_to_open=Spread.of(_times_to_open(scenario, histories)),
        time_to_recover=Spread.of(_times_to_recover(recovered, histories)),
        unrecovered=sum(history.closed_at is None for history in histories),
        opened=sum(bool(history.openings) for history in histories),
        openings=sum(len(history.openings) for history in histories),
        trips=sum(len(history.trips) for history in histories),
        retrips=sum(second >= recovered for history in histories for second in history.trips),
        probes=tally.probes,
        store=None if store is None else _use(store, scenario.duration),
        slots=slots,
    )


def _use(store: VirtualStore, duration: float) -> StoreUse:
    commands = sum(store.commands)
    return StoreUse(
        commands=commands,
        commands_per_second=commands / duration,
        peak=max(store.commands),
        unanswered=store.unanswered,
        published=store.messages,
        openings=store.openings,
    )


def _spans(scenario: Scenario) -> list[tuple[float, float]]:
    """Return start and end of each phase that is unhealthy for some process."""
    return [
        (start, start + phase.duration)
        for start, phase in zip(scenario.starts, scenario.phases, strict=True)
        if not phase.healthy or phase.node_fault is not None
    ]


def _recovered_at(scenario: Scenario) -> float:
    """Return the second from which the dependency stays healthy."""
    spans = _spans(scenario)
    return spans[-1][1] if spans else 0.0


def _times_to_open(scenario: Scenario, histories: Sequence[History]) -> list[float]:
    spans = _spans(scenario)
    if not spans:
        return []
    start, end = spans[0]
    found: list[float] = []
    for history in histories:
        within = [second - start for second in history.trips if start <= second < end]
        found += within[:1]
    return found


def _times_to_recover(recovered: float, histories: Sequence[History]) -> list[float]:
    if recovered == 0.0:
        return []
    return [
        history.closed_at - recovered
        for history in histories
        if history.closed_at is not None and history.closed_at > recovered
    ]
