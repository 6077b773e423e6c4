from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from cqrs.adapters.circuit_breaker import AioBreakerAdapter, InterlockAdapter, PurgatoryAdapter


@pytest.mark.parametrize(
    ("adapter", "library"),
    [(AioBreakerAdapter, "aiobreaker"), (PurgatoryAdapter, "purgatory"), (InterlockAdapter, "interlock")],
)
def test_construction_names_the_command_that_installs_the_library(
    adapter: Callable[[], object], library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "cqrs.adapters.circuit_breaker._aiobreaker_circuit", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"pip install 'holdfast\[{library}\]'"):
        adapter()


def test_importing_the_adapters_imports_no_library() -> None:
    code = (
        "import sys, cqrs.adapters.circuit_breaker;"
        "print([m for m in ('aiobreaker', 'purgatory', 'interlock', 'redis') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
