"""What is said of a saga that is ended backward, and of any error."""

from __future__ import annotations

import pickle
import uuid

import pytest

from cqrs.saga.errors import LONGEST_DETAILS, SagaCompensatedError, describe
from cqrs.saga.models import FailedCompensation
from cqrs.saga.storage.enums import SagaStatus
from tests.unit.saga.shop import A, Boom

SAGA = uuid.uuid4()


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Boom("no stock"), "Boom: no stock"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (Mute(), "Mute (its text cannot be had: ValueError)"),
        (Boom("x" * 3000), "Boom: " + "x" * (LONGEST_DETAILS - 7) + "…"),
    ],
)
def test_any_error_is_described(error: BaseException, text: str) -> None:
    assert describe(error) == text


def test_what_became_of_the_saga_is_told_also_in_another_process() -> None:
    done = SagaCompensatedError(SAGA, "Shop", SagaStatus.COMPENSATING)
    assert str(done) == (
        f"saga {SAGA} (Shop) was recovered in compensating state: it is compensated now, and does not go "
        "forward any more"
    )
    failed = SagaCompensatedError(SAGA, "Shop", SagaStatus.FAILED, [FailedCompensation(0, A, Boom())])
    assert "in failed state: 1 of its compensations failed again" in str(failed)
    assert str(pickle.loads(pickle.dumps(failed))) == str(failed)
