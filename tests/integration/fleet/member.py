"""What a worker process can be told to do."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import cqrs.circuit_breaker as api
from cqrs.circuit_breaker import CircuitBreakers, CircuitEvent, CircuitOpenError, Mode, RedisStore
from tests.integration.fleet.traffic import Failed, Traffic

START_LIMIT = 10.0
"""Seconds that a process has to meet its store: twenty that start at once keep a small machine busy."""


class Member:
    """What a worker holds: one registry, its store, its events, permits in hand, traffic."""

    breakers: CircuitBreakers
    store: RedisStore

    def __init__(self) -> None:
        self.joined = False
        self.logs: list[str] = []
        self.kept: dict[str, Any] = {}

    # ------------------------------------------------------------------ life

    def join(
        self,
        url: str,
        policy: str,
        start: bool = True,
        policies: dict[str, str] | None = None,
        store: dict[str, Any] | None = None,
    ) -> bool:
        """Make a registry; policies are expressions. Tells whether the store has answered."""
        self.events: list[CircuitEvent] = []
        self.permits: dict[str, Any] = {}
        self.traffic: list[Traffic] = []
        self.kept = {}
        self.logs.clear()
        self.store = RedisStore(url, **(store or {}))
        self.breakers = CircuitBreakers(
            policy_of(policy),
            policies={name: policy_of(each) for name, each in (policies or {}).items()},
            listeners=[self.events.append],
            store=self.store,
        )
        self.joined = True
        return self.store.start(START_LIMIT) if start else False

    def leave(self) -> None:
        """Let go of everything, so that another test can use this process."""
        if not self.joined:
            return
        self.joined = False
        for traffic in self.traffic:
            traffic.stop()
        self.store.close()
        self.permits.clear()
        self.kept.clear()
        del self.breakers, self.store

    def start(self, timeout: float | None = None) -> bool:
        return self.store.start(timeout)

    def close(self) -> None:
        self.store.close()

    def tell(self) -> dict[str, Any]:
        """Who and how many threads."""
        return {
            "pid": os.getpid(),
            "node": self.store.health().node,
            "threads": sorted(thread.name for thread in threading.enumerate()),
        }

    # ------------------------------------------------------------------ calls

    def call(self, name: str, outcome: str = "ok", times: int = 1, kind: str = "sync") -> list[str]:
        """Make guarded calls one after the other; returns what came of each."""
        if kind == "async":
            return asyncio.run(self._call_async(name, outcome, times))
        circuit = self.breakers[name]
        results: list[str] = []
        for _ in range(times):
            try:
                circuit.call(_act, outcome)
            except CircuitOpenError:
                results.append("rejected")
            except Failed:
                results.append("failed")
            else:
                results.append("ok")
        return results

    async def _call_async(self, name: str, outcome: str, times: int) -> list[str]:
        async def one() -> str:
            try:
                await self.breakers[name].call(_act_async, outcome)
            except CircuitOpenError:
                return "rejected"
            except Failed:
                return "failed"
            return "ok"

        return [await one() for _ in range(times)]

    def hold(self, name: str, key: str = "") -> str:
        """Take a permit and keep it; returns its kind, or "rejected"."""
        permit = self.breakers[name].try_acquire()
        if permit is None:
            return "rejected"
        self.permits[key or name] = permit
        return permit.kind

    def settle(self, key: str, verdict: str) -> bool:
        """Settle a kept permit: success, failure, ignored, cancelled, inconclusive; or drop it."""
        permit = self.permits.pop(key)
        if verdict == "drop":
            return bool(permit.drop())
        return bool(permit.settle(api.Verdict(verdict)))

    def begin_traffic(self, name: str, **options: Any) -> int:
        """Make calls in the background; returns a number for ``traffic_report``."""
        traffic = Traffic(self.breakers[name], **options)
        self.traffic.append(traffic)
        traffic.start()
        return len(self.traffic) - 1

    def turn_traffic(self, outcome: str, number: int = 0) -> None:
        self.traffic[number].turn(outcome)

    def traffic_report(self, number: int = 0, stop: bool = False) -> dict[str, Any]:
        if stop:
            self.traffic[number].stop()
        return self.traffic[number].report()

    # ------------------------------------------------------------------ reading and steering

    def state(self, name: str) -> str:
        """The state, or "half_open/probing" and the like."""
        circuit = self.breakers[name]
        state, phase = circuit.state.value, circuit.phase
        return state if phase is None else f"{state}/{phase}"

    def machine(self, name: str) -> dict[str, Any]:
        """What the fleet's and the local side of a circuit are, as this process sees them."""
        gate: Any = self.breakers[name].gate
        machine = gate.shared
        return {
            "fleet": machine.view.state.value,
            "local": machine.phase.state.value,
            "epoch": machine.view.epoch,
            "incarnation": machine.view.incarnation,
            "mode": machine.mode.value,
            "streak": machine.view.streak,
            "reason": machine.view.reason,
        }

    def view(self, name: str) -> dict[str, Any]:
        """The store's own answer."""
        view = self.store.view(name, self.breakers.policy_for(name))
        return {
            "state": view.state.value,
            "epoch": view.epoch,
            "incarnation": view.incarnation,
            "streak": view.streak,
            "wait": view.wait,
            "left": view.until - view.heard,
            "mode": None if view.mode is None else view.mode.value,
            "reason": view.reason,
            "settings": view.settings,
            "row": view.row,
            "watched": view.watched,
        }

    def health(self) -> dict[str, Any]:
        health = self.store.health()
        return {name: getattr(health, name) for name in health.__slots__}

    def seen(self, kind: str = "", flush: float = 5.0) -> list[dict[str, Any]]:
        """Events of a kind (of all, "") so far, in order."""
        self.breakers.flush_listeners(flush)
        return [
            {"kind": type(event).__name__}
            | {name: _plain(getattr(event, name)) for name in event.__dataclass_fields__}
            for event in list(self.events)
            if kind in ("", type(event).__name__)
        ]

    def logged(self) -> list[str]:
        return list(self.logs)

    def override(self, name: str | None, mode: str, ttl: float | None = None) -> None:
        self.breakers.override(name, Mode(mode), ttl=ttl, actor="ann", reason="a test")

    def clear_override(self, name: str | None) -> None:
        self.breakers.clear_override(name, actor="ann")


def policy_of(expression: str) -> api.CircuitBreakerPolicy:
    """Return the policy that an expression makes."""
    policy: api.CircuitBreakerPolicy = eval(expression, {**vars(api), "RedisStore": RedisStore})
    return policy


def _act(outcome: str) -> str:
    if outcome == "fail":
        raise Failed(outcome)
    return outcome


async def _act_async(outcome: str) -> str:
    await asyncio.sleep(0)
    return _act(outcome)


def _plain(value: object) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
