"""What the import costs, in fresh interpreters."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile

from harness.environments import CQRS_4, CQRS_5, DIATOR, HOLDFAST
from harness.model import Builder, Case, Prepared, Target

IMPORT = Case(
    key="import",
    title="import, beyond pydantic and asyncio",
    what=(
        "A fresh interpreter imports `asyncio`, makes one pydantic model, then times `import cqrs` (CPU "
        "time, warm byte code). Holdfast resolves its names when they are first used, so the second row "
        "also uses those of a first program: request, response, handler, map, fallback, breakers, policy, "
        "`bootstrap`."
    ),
    unit="ms",
    rounds=15,
    targets=(
        Target("Holdfast", "value", 40.0),
        Target("Holdfast, and the names of a first program", "value", 40.0),
    ),
)
IMPORT_ALL = Case(
    key="import-all",
    title="import, from an empty interpreter",
    what=(
        "A fresh interpreter imports the library and everything that it needs (CPU time, warm byte code). "
        "python-cqrs 5.3 and diator need no pydantic, and it is not installed in their environments."
    ),
    unit="ms",
    rounds=15,
)
CASES = (IMPORT, IMPORT_ALL)

# pydantic loads most of itself when the first model is made, not when it is imported.
PRELUDE = "import asyncio\nfrom pydantic import BaseModel\nclass Model(BaseModel):\n    number: int"
FIRST_PROGRAM = (
    "import cqrs; cqrs.Request, cqrs.Response, cqrs.RequestHandler, cqrs.RequestMap, "
    "cqrs.RequestHandlerFallback, cqrs.CircuitBreakers, cqrs.CircuitBreakerPolicy; from cqrs.requests "
    "import bootstrap"
)


@functools.cache
def _byte_code() -> str:
    """A folder for byte code that lives as long as this process."""
    folder = tempfile.mkdtemp(prefix="holdfast-benchmark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _imported(prelude: str, statement: str) -> Builder:
    """A fresh interpreter that runs the prelude and times the statement."""
    program = (
        f"import time\n{prelude}\nbegan = time.process_time()\n{statement}\n"
        "print((time.process_time() - began) * 1000)"
    )

    # Byte code is kept for the run, also where the environment says not to write any.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = _byte_code()

    def measure() -> float:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )
        if done.returncode:
            raise ImportError(done.stderr.strip().splitlines()[-1])
        return float(done.stdout)

    def build() -> Prepared:
        measure()
        return Prepared(measure=measure)

    return build


IMPORT.add("Holdfast", _imported(PRELUDE, "import cqrs"), [HOLDFAST])
IMPORT.add("Holdfast, and the names of a first program", _imported(PRELUDE, FIRST_PROGRAM), [HOLDFAST])
IMPORT.add("python-cqrs 4.10", _imported(PRELUDE, "import cqrs"), [CQRS_4])
IMPORT_ALL.add("asyncio and one pydantic model alone", _imported("", PRELUDE), [HOLDFAST])
IMPORT_ALL.add("Holdfast", _imported("", "import cqrs"), [HOLDFAST])
IMPORT_ALL.add("Holdfast, and the names of a first program", _imported("", FIRST_PROGRAM), [HOLDFAST])
IMPORT_ALL.add("python-cqrs 4.10", _imported("", "import cqrs"), [CQRS_4])
IMPORT_ALL.add(
    "python-cqrs 4.10, and `bootstrap`",
    _imported("", "import cqrs; from cqrs.requests import bootstrap"),
    [CQRS_4],
)
IMPORT_ALL.add("python-cqrs 5.3", _imported("", "import cqrs"), [CQRS_5])
IMPORT_ALL.add(
    "python-cqrs 5.3, and `bootstrap`",
    _imported(
        "",
        "import cqrs; from cqrs.bootstrap import requests as bootstrap; cqrs.Request, cqrs.RequestMediator",
    ),
    [CQRS_5],
)
IMPORT_ALL.add("diator", _imported("", "import diator.mediator, diator.requests, diator.events"), [DIATOR])
