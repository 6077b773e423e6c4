"""The public API changes only on purpose."""

from __future__ import annotations

import difflib
import importlib
import inspect

import pytest

from tests.repository.api_snapshot import DOCUMENTED, SNAPSHOT, all_modules, public_names, snapshot


def test_public_api_is_the_recorded_one() -> None:
    recorded = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    difference = "\n".join(
        difflib.unified_diff(recorded, snapshot().splitlines(), "recorded", "now", lineterm="")
    )
    assert not difference, (
        f"the public API changed; if that is wanted, run `python3 dev.py api`\n{difference}"
    )


@pytest.mark.parametrize("name", all_modules())
def test_every_name_in_all_exists_and_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    for public in public_names(module):
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{name}.{public} has no docstring"
    assert module.__doc__, f"{name} has no docstring"


def test_every_documented_import_path_exists() -> None:
    assert sorted(set(DOCUMENTED) - set(all_modules())) == []
