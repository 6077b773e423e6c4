from __future__ import annotations

from collections import Counter
from itertools import pairwise, takewhile

from cqrs.demo.load import arrivals
from cqrs.demo.schedule import RATES, Kind


def test_equal_seeds_give_the_same_requests_and_other_seeds_others() -> None:
    def first(seed: int) -> list[object]:
        return [arrival for arrival, _ in zip(arrivals(seed), range(200), strict=False)]

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_requests_come_in_order_and_each_has_its_own_number() -> None:
    run = list(takewhile(lambda arrival: arrival.at < 10, arrivals(1)))
    assert all(earlier.at <= later.at for earlier, later in pairwise(run))
    assert len({arrival.number for arrival in run}) == len(run)


def test_every_kind_comes_at_its_rate() -> None:
    run = takewhile(lambda arrival: arrival.at < 100, arrivals(1))
    counts = Counter(arrival.kind for arrival in run)
    assert set(counts) == set(RATES) == set(Kind) - {Kind.SHIPMENT}
    for kind, rate in RATES.items():
        assert abs(counts[kind] - 100 * rate) <= 0.05 * 100 * rate
