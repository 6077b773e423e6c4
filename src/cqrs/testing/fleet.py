"""Several processes that share their circuits, as objects in one process and on one clock."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from cqrs.circuit_breaker.breaker import check_policy
from cqrs.circuit_breaker.fleet.memory import MemoryServer, MemoryTransport
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.registry import CircuitBreakers
from cqrs.circuit_breaker.states import State
from cqrs.testing.chaos_faults import check_count, check_seconds
from cqrs.testing.clock import FakeClock
from cqrs.testing.faulty_store import FaultyStore

SHORTEST_STEP = 0.001
"""Seconds between two ticks of a node at least: one that is due at once again would stop the clock."""

Nodes: TypeAlias = "int | FleetNode | Iterable[int | FleetNode]"
"""A node or several, by number or object."""


class FleetNode:
    """One process of a :class:`Fleet`.

    Attributes:
        number: its place in ``fleet.nodes``.
        breakers: its circuits.
        store: what it shares them through; ``store.drop_reply()`` and the like disturb this node alone.
        policy: what its circuits go by.
        alive: whether it still takes part; see ``Fleet.kill``.
        skew: seconds by which its clock is ahead of the fleet's; may be set at any time. Default 0.
    """

    def __init__(self, fleet: Fleet, number: int, policy: CircuitBreakerPolicy, life: int) -> None:
        self.number = number
        self.policy = policy
        self.alive = True
        self.skew = 0.0
        self.life = life
        self._fleet = fleet
        draw = random.Random(f"{fleet.seed}:{number}:{life}").random
        self.store = FaultyStore(
            fleet.server,
            quorum=fleet.quorum,
            sync_interval=fleet.sync_interval,
            push=fleet.push,
            shards=fleet.shards,
            command_timeout=fleet.command_timeout,
            clock=self.clock,
            random=draw,
        )
        self.breakers = CircuitBreakers(policy, store=self.store, clock=self.clock, random=draw)

    def clock(self) -> float:
        """Return the time of this node in seconds."""
        return self._fleet.clock() + self.skew

    @property
    def due(self) -> float:
        """When the node must be ticked again, on the fleet's clock."""
        transport = self.store.session.transport
        own = transport.due if isinstance(transport, MemoryTransport) else float("inf")
        return own - self.skew

    def __repr__(self) -> str:
        return f"<FleetNode {self.number}{'' if self.alive else ', dead'}>"


class Fleet:
    """Processes that share their circuits through a store in memory: for tests that need no server.

    Nothing waits and nothing is left to chance: time moves only in :meth:`advance`, and two runs with one
    ``seed`` do the same. Calls may be made from threads and event loops as well; then their order is theirs.

    Args:
        n: number of nodes; >= 1.
        policy: of all circuits, or a policy for each node; default: that of ``CircuitBreakers()``.
        quorum: share of the reporting nodes that must be unhealthy before the fleet opens; 0 to 1.
        sync_interval: seconds between two exchanges of a node with nothing urgent to say; 0.01 to 60.
        push: whether changes are also published; without, a node learns them with its next exchange.
        shards: number of shards that the store spreads the circuits over; 1 to 1024.
        command_timeout: seconds of real time that a call waits for the store before it is rejected, where an
            answer is late (``store.latency``) and so only comes with ``advance``; > 0.
        start: first time shown by the clock, in seconds.
        seed: of all jitter.

    Attributes:
        nodes: the nodes, a list of :class:`FleetNode`.
        clock: the ``FakeClock``; also of the server.
        server: the ``MemoryServer``.
        server_skew: seconds by which the server's clock is ahead; may be set at any time. Default 0.

    Raises:
        PolicyError: a setting is out of range.
        ValueError: ``n`` is not positive, or there is not one policy for each node.

    >>> from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitOpenError
    >>> fleet = Fleet(3, CircuitBreakerPolicy.consecutive(threshold=3, ttl=30.0))
    >>> for node in fleet.nodes:
    ...     try:
    ...         node.breakers["payments"].call(lambda: 1 // 0)
    ...     except ZeroDivisionError:
    ...         print("failed, now", *fleet.states("payments"))
    failed, now closed
    failed, now closed closed
    failed, now open open open
    >>> try:
    ...     fleet.nodes[0].breakers["payments"].call(abs, -1)
    ... except CircuitOpenError as rejection:
    ...     print(rejection)
    circuit 'payments' is open (3 failures in a row); retry after 30 s

    The one that probes dies, and another takes its place:

    >>> fleet.advance(30.1)
    >>> probe = fleet.nodes[0].breakers["payments"].acquire()
    >>> fleet.kill(0)
    >>> fleet.advance(10.1)
    >>> fleet.nodes[1].breakers["payments"].try_acquire() is None
    True
    >>> [entry["why"] for entry in fleet.audit("payments")]
    ['3 failures in a row', 'wait in open is over', '1 probes in a row were lost']
    """

    def __init__(
        self,
        n: int,
        policy: CircuitBreakerPolicy | Sequence[CircuitBreakerPolicy] | None = None,
        *,
        quorum: float = 0.5,
        sync_interval: float = 1.0,
        push: bool = True,
        shards: int = 1,
        command_timeout: float = 0.05,
        start: float = 1000.0,
        seed: int = 0,
    ) -> None:
        check_count("n", n, at_least=1)
        if policy is None or isinstance(policy, CircuitBreakerPolicy):
            policies = [CircuitBreakerPolicy() if policy is None else policy] * n
        else:
            policies = [check_policy(each) for each in policy]
        if len(policies) != n:
            raise ValueError(f"{len(policies)} policies for {n} nodes")
        self.seed = seed
        self.clock = FakeClock(start)
        self.server_skew = 0.0
        self.server = MemoryServer(lambda: self.clock() + self.server_skew)
        self.quorum, self.sync_interval = quorum, sync_interval
        self.push, self.shards = push, shards
        self.command_timeout = command_timeout
        self._snapshot: dict[str, Any] | None = None
        self.nodes = [FleetNode(self, number, each, 0) for number, each in enumerate(policies)]
        for node in self.nodes:
            node.store.open()

    # ------------------------------------------------------------------ time

    def advance(self, seconds: float | timedelta) -> None:
        """Move time forward, step by step, so that every node exchanges when it is due.

        Args:
            seconds: how far, in seconds or as ``timedelta``; at least 0.

        Raises:
            TypeError: ``seconds`` is neither a number nor a ``timedelta``.
            ValueError: ``seconds`` is negative or not finite.
        """
        step = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        check_seconds("seconds", step)
        clock = self.clock
        end = clock() + step
        ticked: dict[FleetNode, float] = {}
        while True:
            following = min(
                (max(node.due, ticked.get(node, 0.0)) for node in self.living()), default=float("inf")
            )
            if following > end:
                break
            if following > clock():
                clock.advance(following - clock())
            now = clock()
            for node in self.living():
                if max(node.due, ticked.get(node, 0.0)) <= now:
                    node.store.tick()
                    ticked[node] = now + SHORTEST_STEP
        if end > clock():
            clock.advance(end - clock())

    # ------------------------------------------------------------------ what happens to nodes

    def partition(self, nodes: Nodes) -> None:
        """Cut nodes off from the store, until :meth:`heal`."""
        for node in self._meant(nodes):
            node.store.partition()

    def heal(self) -> None:
        """End all faults of all living nodes, those set on their stores included."""
        for node in self.living():
            node.store.heal()

    def kill(self, nodes: Nodes) -> None:
        """Let nodes vanish without a word: permits are not given back, figures not withdrawn.

        The objects remain; what is done with them no longer reaches the store.
        """
        for node in self._meant(nodes):
            node.alive = False
            node.store.partition()

    def restart(self, nodes: Nodes, policy: CircuitBreakerPolicy | None = None) -> None:
        """Put fresh processes in the place of nodes, which vanish if they have not yet.

        Args:
            nodes: their places in ``nodes`` get new objects. Faults of the old ones are not theirs.
            policy: of the new ones; default: that of the old ones.
        """
        for node in self._meant(nodes):
            self.kill(node)
            place = node.number
            fresh = FleetNode(self, place, node.policy if policy is None else policy, node.life + 1)
            fresh.skew = node.skew
            self.nodes[place] = fresh
            fresh.store.open()

    def living(self) -> list[FleetNode]:
        """Return the nodes that take part."""
        return [node for node in self.nodes if node.alive]

    # ------------------------------------------------------------------ what happens to the server

    def flush(self) -> None:
        """Have the store lose everything, as after a restart without persistence."""
        self.server.flush()

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the store, and keep it for :meth:`rollback`."""
        self._snapshot = self.server.snapshot()
        return self._snapshot

    def rollback(self, snapshot: dict[str, Any] | None = None, *, reconnect: bool = True) -> None:
        """Have the store go back to an earlier state, as after a failover that lost writes.

        Args:
            snapshot: that state; default: that of the last :meth:`snapshot`.
            reconnect: whether the nodes notice, because their connections are lost.

        Raises:
            ValueError: there is no snapshot.
        """
        state = self._snapshot if snapshot is None else snapshot
        if state is None:
            raise ValueError("there is no snapshot to go back to")
        self.server.restore(state)
        if reconnect:
            for node in self.nodes:
                node.store.reconnect()

    # ------------------------------------------------------------------ reading

    def states(self, name: str) -> list[State]:
        """Return the state of a circuit in each living node that has made it, in the order of ``nodes``."""
        return [node.breakers[name].state for node in self.living() if name in node.breakers]

    @property
    def commands(self) -> int:
        """Requests that have reached the store."""
        return self.server.commands

    @property
    def operations(self) -> Counter[str]:
        """What they asked for, by kind: ``"acquire"``, ``"settle"``, ``"renew"``, ``"report"`` and so on."""
        return Counter(self.server.operations)

    def audit(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the transitions and overrides that the store has on record, oldest first in each shard.

        Args:
            name: of this circuit only; default: of all.

        Returns:
            Mappings with ``name``, ``from``, ``to``, ``why``, ``node`` and the evidence.
        """
        shards = [self.server.coordinators[prefix] for prefix in sorted(self.server.coordinators)]
        entries = [dict(entry) for shard in shards for entry in shard.audit]
        return [entry for entry in entries if name is None or entry["name"] == name]

    def __repr__(self) -> str:
        return f"<Fleet of {len(self.nodes)}, {len(self.living())} alive>"

    def _meant(self, nodes: Nodes) -> list[FleetNode]:
        if isinstance(nodes, int | FleetNode):
            nodes = [nodes]
        return [self.nodes[node] if isinstance(node, int) else node for node in nodes]
