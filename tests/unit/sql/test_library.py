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
    import cqrs._sql.{module}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize("module", ["clock", "types", "schema", "sessions", "library"])
def test_the_command_is_named(module: str) -> None:
    script = SCRIPT.format(missing="sqlalchemy", module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'holdfast[sqlalchemy]'" in done.stdout
