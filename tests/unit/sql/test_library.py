"""Without SQLAlchemy, the error says how to get it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import cqrs
try:
    import {module}
except ImportError as error:
    print(error)
"""


MODULES = [
    f"cqrs._sql.{name}"
    for name in ("clock", "errors", "library", "schema", "sessions", "transactions", "types")
]


@pytest.mark.parametrize("module", [*MODULES, "cqrs.saga.storage.sqlalchemy"])
def test_the_command_is_named(module: str) -> None:
    assert "pip install 'holdfast[sqlalchemy]'" in without("sqlalchemy", module)


def test_the_command_is_named_when_greenlet_alone_is_missing() -> None:
    assert "pip install 'holdfast[sqlalchemy]'" in without("greenlet", "cqrs.saga.storage.sqlalchemy")


def without(missing: str, module: str) -> str:
    """Return what importing ``module`` says where a library is missing."""
    script = SCRIPT.format(missing=missing, module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout
