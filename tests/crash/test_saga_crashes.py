"""A process that executes a saga dies anywhere: the saga still ends, and no completed step runs twice."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.crash.conftest import Explored
from tests.crash.orders import VARIANTS
from tests.servers.databases import Database

Explore = Callable[..., Explored]

THOROUGH = bool(os.environ.get("HOLDFAST_TEST_THOROUGH"))
"""Explore all crash points on every database, and more pairs of them: takes minutes."""


def check(explored: Explored, deaths: int | None = None, points: int = 10) -> None:
    assert explored.problems == [], "\n".join(explored.problems)
    assert explored.points >= points, "hardly any crash points: are they watched at all?"
    died = [where for where in explored.died.values() if where]
    assert len(died) >= (explored.points if deaths is None else deaths), explored.died


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saga_survives_a_crash_at_every_point_on_sqlite(
    explore: Explore, sqlite_url: str, variant: str
) -> None:
    check(explore(variant=variant, url=sqlite_url))


@pytest.mark.parametrize("variant", ["completes", "compensation fails"])
def test_a_saga_survives_a_crash_at_every_point_on_postgres(
    explore: Explore, postgres_url: str, variant: str
) -> None:
    check(explore(variant=variant, url=postgres_url, stride=1 if THOROUGH else 3), deaths=10)


@pytest.mark.parametrize("variant", ["completes", "fails"])
def test_a_saga_survives_a_crash_at_sampled_points_on_mariadb(
    explore: Explore, mariadb_url: str, variant: str
) -> None:
    check(explore(variant=variant, url=mariadb_url, stride=1 if THOROUGH else 5), deaths=4)


@pytest.mark.parametrize("variant", ["completes", "compensation fails"])
def test_a_recovery_survives_crashes_too(explore: Explore, sqlite_url: str, variant: str) -> None:
    pairs = 200 if THOROUGH else 15
    check(explore(variant=variant, url=sqlite_url, stride=1000, nested=pairs), deaths=pairs)


@pytest.mark.parametrize("variant", ["completes", "fails"])
def test_several_recoverers_at_once_do_what_one_would(
    explore: Explore, postgres_url: str, variant: str
) -> None:
    explored = explore(variant=variant, url=postgres_url, recoverers=3, stride=1 if THOROUGH else 6)
    check(explored, deaths=5)


@pytest.mark.parametrize(("kind", "variant"), [("postgres", "completes"), ("sqlite", "compensation fails")])
def test_who_was_paused_until_another_has_taken_over_changes_nothing_more(
    explore: Explore, sql_databases: Callable[..., Database], kind: str, variant: str
) -> None:
    check(explore(variant=variant, url=sql_databases(kind).url, paused=True), points=6)
