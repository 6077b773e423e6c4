"""One process of the shop: a request per line of standard input, what happens per line of standard output.

``python -m cqrs.demo.fleet.worker CONFIG``; CONFIG is a JSON object with ``url`` (of the store, or empty),
``port`` (of the upstream), ``database`` (a path) and ``plan``. It ends when standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import cqrs
from cqrs.circuit_breaker import CircuitBreakers, RedisStore, StateChanged, StoreDegraded, StoreRecovered
from cqrs.container.builtin import BuiltinContainer
from cqrs.demo.client import UPSTREAM_FAILURES, UpstreamClient
from cqrs.demo.fleet.plan import NAMESPACE, Plan
from cqrs.demo.handlers import LastKnownPrice, PriceFromUpstream
from cqrs.demo.messages import GetPrice
from cqrs.demo.store import ShopStore
from cqrs.demo.upstream import HOST
from cqrs.requests.bootstrap import bootstrap

_lock = threading.Lock()
_request: ContextVar[dict[str, Any]] = ContextVar("cqrs_demo_fleet_request")


def say(what: str, **fields: object) -> None:
    """Write one line, whole and at once: a process that is killed has said what it did until then."""
    line = json.dumps({"what": what, "at": time.monotonic(), **fields}) + "\n"
    with _lock, contextlib.suppress(BrokenPipeError):
        os.write(1, line.encode())


class TellingClient(UpstreamClient):
    """An upstream client that says when a call begins and ends."""

    async def get(self, path: str) -> Any:
        """GET a JSON document."""
        request = _request.get()
        request["called"] = True
        say("call", id=request["id"], received=request["received"])
        try:
            document = await super().get(path)
        except BaseException:
            say("called", id=request["id"], ok=False)
            raise
        say("called", id=request["id"], ok=True)
        return document


def tell_change(event: object) -> None:
    """Say what a circuit or the store told."""
    if isinstance(event, StateChanged):
        state = event.phase or event.to_state.value
        say("state", since=event.at, state=state, reason=event.reason, source=event.source)
    elif isinstance(event, StoreDegraded | StoreRecovered):
        say("degraded" if isinstance(event, StoreDegraded) else "recovered")


class Worker:
    """The shop's price query behind a circuit that is shared through the store."""

    def __init__(self, url: str, port: int, database: Path, plan: Plan) -> None:
        self._store: RedisStore | None = None
        if url:
            self._store = RedisStore(
                url, namespace=NAMESPACE, sync_interval=plan.sync_interval, command_timeout=0.2
            )
        self._breakers = CircuitBreakers(plan.policy(), store=self._store, listeners=[tell_change])
        self._upstream = TellingClient(HOST, port, timeout=plan.client_timeout)
        self._shop = ShopStore(database)
        self._fallback = plan.fallback
        self._tasks: set[asyncio.Task[None]] = set()
        container = (
            BuiltinContainer()
            .register_instance(UpstreamClient, self._upstream)
            .register_instance(ShopStore, self._shop)
        )
        self._mediator = bootstrap(container, queries_mapper=self._queries)

    def _queries(self, mapper: cqrs.RequestMap) -> None:
        pair = cqrs.RequestHandlerFallback(
            PriceFromUpstream,
            LastKnownPrice,
            failure_exceptions=UPSTREAM_FAILURES if self._fallback else (ZeroDivisionError,),
            circuit_breaker=self._breakers,
        )
        mapper.bind(GetPrice, pair)

    async def run(self) -> None:
        """Serve until standard input ends."""
        stop = asyncio.Event()
        if self._store is not None:
            # What the fleet knows is known here before the first request.
            await self._store.astart(5.0)
        _ = self._breakers[PriceFromUpstream]
        await asyncio.to_thread(self._breakers.flush_listeners)
        say("ready")
        reader = threading.Thread(target=self._read, args=(asyncio.get_running_loop(), stop), daemon=True)
        reader.start()
        await stop.wait()
        await self._breakers.aclose()
        await self._upstream.close()
        self._shop.close()

    def _read(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        for line in sys.stdin:
            request = {**json.loads(line), "received": time.monotonic(), "called": False}
            loop.call_soon_threadsafe(self._take, request)
        loop.call_soon_threadsafe(stop.set)

    def _take(self, request: dict[str, Any]) -> None:
        task = asyncio.create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: dict[str, Any]) -> None:
        _request.set(request)
        try:
            price = await self._mediator.send(GetPrice(sku=request["sku"]))
        except Exception as error:
            say("answer", id=request["id"], answer="failed", error=f"{type(error).__name__}: {error}")
            return
        answer = "primary" if price.source == "primary" else "fallback" if request["called"] else "rejected"
        say("answer", id=request["id"], answer=answer)


def main(text: str) -> None:
    """Run a process from its configuration."""
    # A fallback that answers, or a store that is lost, is worth a warning in a service; here it is shown.
    logging.getLogger("cqrs").addHandler(logging.NullHandler())
    config = json.loads(text)
    plan = Plan(**config["plan"])
    worker = Worker(config["url"], config["port"], Path(config["database"]), plan)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(worker.run())


if __name__ == "__main__":
    main(sys.argv[1])
