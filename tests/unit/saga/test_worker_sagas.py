"""Which sagas a recovery worker takes."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.exceptions import ConfigurationError, ResolutionError
from cqrs.saga.saga import Saga
from cqrs.saga.worker import RecoveryWorker
from tests.unit.saga.recovering import World
from tests.unit.saga.shop import A, Order, Shop, Step


class Untold(Saga):  # type: ignore[type-arg]
    steps = [A]


class Namesake(Saga[Order]):
    saga_name = "Shop"
    steps = [A]


class Needy(Step):
    pass


class NeedySaga(Saga[Order]):
    steps = [Needy]


@pytest.mark.parametrize("sagas", [[], 5, [str], [Untold], [Shop, Namesake], [Shop()], {str: Shop}])
def test_wrong_sagas_are_refused(world: World, sagas: Any) -> None:
    with pytest.raises((ConfigurationError, KeyError)):
        world.worker(sagas)


def test_a_step_that_cannot_be_built_is_noticed_at_once(world: World) -> None:
    class Picky:
        async def resolve(self, type_: type[Any]) -> Any:
            return type_()

        def factory_for(self, type_: type[Any]) -> Any:
            if type_ is Needy:
                raise ResolutionError("no way to build Needy")

    with pytest.raises(ResolutionError, match="Needy"):
        RecoveryWorker([NeedySaga], Picky(), world.storage)
