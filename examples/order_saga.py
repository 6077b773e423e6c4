"""An order in three steps over SQLite: its process is killed in the middle, and another one goes on.

Run it: python examples/order_saga.py

It needs pip install "holdfast[sqlite]". The first process dies (SIGKILL) in the third step, when the card was
charged. A second process finds the order: it charges nobody again, and books the parcel with the other
carrier, as the first one is down. The next order cannot be delivered at all: its card is refunded, and its
stock is given back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer
from cqrs.saga.bootstrap import bootstrap
from cqrs.saga.step import current_step
from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage
from cqrs.saga.worker import RecoveryEvent, RecoveryWorker

LEASE_SECONDS = 0.5
"""How long a process may be silent before others take its sagas over; the default is 30 s."""


@dataclass
class Order(cqrs.SagaContext):
    """What the steps share; it is stored after each of them."""

    name: str
    city: str
    payment: str | None = None
    parcel: str | None = None


class Partners:
    """Warehouse, bank and carriers; a file stands for them, so that what they did outlives our processes.

    They know the idempotency key of what they have done, as partners do that can be asked twice.
    """

    def __init__(self, file: Path, *, deadly: bool) -> None:
        self._file = file
        self._deadly = deadly

    def do(self, deed: str) -> None:
        step = current_step()
        assert step is not None
        if step.idempotency_key in self._file.read_text():
            print(f"    partners: {deed}? That was done.")
            return
        with self._file.open("a") as file:
            file.write(f"{step.idempotency_key} {deed}\n")
        print(f"    partners: {deed}", flush=True)

    def lose_power(self) -> None:
        if self._deadly:
            print("    ... and the process is killed", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class ReserveStock(cqrs.SagaStepHandler[Order, str]):
    partners: Partners

    async def act(self, context: Order) -> cqrs.SagaStepResult[Order, str]:
        self.partners.do(f"stock reserved for {context.name}")
        return self._generate_step_result("in stock")

    async def compensate(self, context: Order) -> None:
        self.partners.do(f"stock of {context.name} given back")


@dataclass
class ChargeCard(cqrs.SagaStepHandler[Order, str]):
    partners: Partners

    async def act(self, context: Order) -> cqrs.SagaStepResult[Order, str]:
        self.partners.do(f"card of {context.name} charged")
        context.payment = f"payment of {context.name}"
        return self._generate_step_result(context.payment)

    async def compensate(self, context: Order) -> None:
        self.partners.do(f"{context.payment} refunded")


@dataclass
class BookParcel(cqrs.SagaStepHandler[Order, str]):
    partners: Partners

    async def act(self, context: Order) -> cqrs.SagaStepResult[Order, str]:
        self.partners.lose_power()
        raise ConnectionError("the carrier does not answer")

    async def compensate(self, context: Order) -> None: ...


@dataclass
class BookParcelElsewhere(cqrs.SagaStepHandler[Order, str]):
    partners: Partners

    async def act(self, context: Order) -> cqrs.SagaStepResult[Order, str]:
        if context.city == "Atlantis":
            raise ValueError(f"nobody delivers to {context.city}")
        self.partners.do(f"parcel to {context.city} booked with the other carrier")
        context.parcel = f"parcel to {context.city}"
        return self._generate_step_result(context.parcel)

    async def compensate(self, context: Order) -> None:
        self.partners.do(f"{context.parcel} cancelled")


BREAKERS = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=5, ttl=30))


class OrderSaga(cqrs.Saga[Order]):
    steps = [
        ReserveStock,
        ChargeCard,
        cqrs.Fallback(BookParcel, BookParcelElsewhere, circuit_breaker=BREAKERS),
    ]


def bind(sagas: cqrs.SagaMap) -> None:
    sagas.bind(Order, OrderSaga)


@asynccontextmanager
async def open_storage(folder: Path) -> AsyncIterator[SqlAlchemySagaStorage]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'shop.db'}")
    storage = SqlAlchemySagaStorage(async_sessionmaker(engine), lease_seconds=LEASE_SECONDS)
    await storage.create_tables()
    yield storage
    await engine.dispose()


def container(folder: Path, *, deadly: bool = False) -> BuiltinContainer:
    built = BuiltinContainer()
    built.register_instance(Partners, Partners(folder / "partners", deadly=deadly))
    return built


async def place(folder: Path, order: Order, *, deadly: bool) -> None:
    """A process of the shop that takes an order."""
    async with open_storage(folder) as storage:
        mediator = bootstrap(container(folder, deadly=deadly), sagas_mapper=bind, saga_storage=storage)
        try:
            async for result in mediator.stream(order):
                print(f"  {result.step_type.__name__}: {result.response}", flush=True)
        except ValueError as error:
            print(f"  the order failed: {error}")


async def recover(folder: Path) -> None:
    """A process that looks after the orders of processes that are gone."""
    sagas = cqrs.SagaMap()
    bind(sagas)
    async with open_storage(folder) as storage:
        done = asyncio.Event()

        def tell(event: RecoveryEvent) -> None:
            print(f"  {event.saga_name}: {event.kind}")
            done.set()

        async with RecoveryWorker(sagas, container(folder), storage, interval=0.1, on_event=tell):
            await done.wait()


def run(*arguments: str) -> int:
    """Run this file as another process of the shop."""
    return subprocess.run([sys.executable, __file__, *arguments], check=False).returncode


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "partners").touch()
        print("Ada orders.", flush=True)
        status = run("place", folder, "Ada", "Oslo", "deadly")
        print(f"The process ended with status {status}. Another one looks after what it left.", flush=True)
        run("recover", folder)
        print("Jules orders.", flush=True)
        run("place", folder, "Jules", "Atlantis")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "recover":
        asyncio.run(recover(Path(sys.argv[2])))
    else:
        _, _, where, name, city, *flags = sys.argv
        asyncio.run(place(Path(where), Order(name, city), deadly=bool(flags)))
