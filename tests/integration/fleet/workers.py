"""Fleets of worker processes: lent to a test, told what to do together, given back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from tests.integration.fleet.processes import Answer, Nursery, Worker, until


class Pool:
    """Workers that wait for a test: starting an interpreter takes longer than most tests."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._nursery = Nursery()

    def take(self, count: int) -> list[Worker]:
        while len(self._idle) < count:
            self._idle.append(Worker(self._nursery))
        return [self._idle.pop() for _ in range(count)]

    def give_back(self, worker: Worker) -> None:
        self._idle.append(worker)

    def close(self) -> None:
        for worker in self._idle:
            worker.discard()
        self._idle.clear()
        self._nursery.close()


class Workers(Sequence[Worker]):
    """Workers that share a store for the length of a ``with`` block.

    Args:
        pool: where they come from and go back to.
        count: how many.
        url: of the server; a list: one for each.
        policy: an expression, of all their circuits.
        start: wait until each knows what the fleet knows.
        policies: expressions for single circuits.
        store: further arguments of ``RedisStore``.
    """

    def __init__(
        self,
        pool: Pool,
        count: int,
        url: str | Sequence[str],
        policy: str,
        *,
        start: bool = True,
        policies: dict[str, str] | None = None,
        **store: Any,
    ) -> None:
        self._pool = pool
        self._urls = [url] * count if isinstance(url, str) else list(url)
        self.policy = policy
        self._policies = policies or {}
        self._start = start
        self.namespace: str = store.setdefault("namespace", f"fleet {uuid.uuid4().hex[:8]}")
        store.setdefault("sync_interval", 0.1)
        self._store = store
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        self._workers = self._pool.take(len(self._urls))
        try:
            pairs = zip(self._workers, self._urls, strict=True)
            answers = [self.begin_join(worker, url) for worker, url in pairs]
            started = [answer.result() for answer in answers]
            assert all(started) or not self._start, f"the store did not answer: {started}"
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def begin_join(self, worker: Worker, url: str, **other: Any) -> Answer:
        arguments = {
            "url": url,
            "policy": self.policy,
            "start": self._start,
            "policies": self._policies,
            "store": self._store,
        }
        return worker.begin("join", **(arguments | other))

    def add(self, url: str | None = None, **other: Any) -> Worker:
        """Have one more process join; ``other`` may say ``policy``, ``store`` and so on."""
        (worker,) = self._pool.take(1)
        self._workers.append(worker)
        other["store"] = self._store | other.get("store", {})
        self.begin_join(worker, url or self._urls[0], **other).result()
        return worker

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        noise = self._leave()
        for worker in self._workers:
            said = worker.stderr()
            if said:
                noise.append(f"worker {worker.pid} wrote:\n{said}")
            if said or worker.at_fault or not worker.alive:
                worker.discard()
            else:
                self._pool.give_back(worker)
        self._workers = []
        if noise and error is None:
            raise AssertionError("\n".join(noise))
        if noise and error is not None:
            error.add_note("\n".join(noise))

    def _leave(self) -> list[str]:
        for worker in self._workers:
            if worker.frozen and worker.alive:
                worker.thaw()
        able = [worker for worker in self._workers if worker.alive and not worker.at_fault]
        leaving = [(worker, worker.begin("leave")) for worker in able]
        noise: list[str] = []
        for worker, answer in leaving:
            try:
                answer.result()
            except (AssertionError, OSError) as failure:
                worker.at_fault = True
                noise.append(str(failure))
        return noise

    def __getitem__(self, index: Any) -> Any:
        return self._workers[index]

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers))

    # ------------------------------------------------------------------ all at once

    def all(self, command: str | Callable[..., Any], **arguments: Any) -> list[Any]:
        """Have all living workers do something at the same time."""
        able = [worker for worker in self if worker.alive and not worker.frozen]
        answers = [worker.begin(command, **arguments) for worker in able]
        return [answer.result() for answer in answers]

    def until_state(self, name: str, *states: str, limit: float = 10.0) -> None:
        """Wait until all living workers see a circuit in one of these states."""
        last: list[str] = []

        def reached() -> bool:
            last[:] = self.all("state", name=name)
            return all(state in states for state in last)

        try:
            until(reached, "", limit)
        except AssertionError:
            raise AssertionError(f"not {states} within {limit:g} s: {last}") from None

    def trip(self, name: str, times: int = 3) -> None:
        """Let the first worker fail so often, and wait until all know that the circuit is open."""
        self[0].call(name, outcome="fail", times=times)
        until(lambda: all(each["fleet"] != "closed" for each in self.all("machine", name=name)), "open")
