#!/usr/bin/env python3
"""One entry point for everyday work: ``python3 dev.py COMMAND [ARGUMENTS]``.

Needs only Python 3.11 or newer. The first use makes ``.venv`` beside this file and installs the project in
it (editable, with all extras and the development tools); later uses reinstall only when pyproject.toml's
dependencies, constraints.txt or the Python version have changed. Arguments after the command are handed to
the tool it runs, and its exit status is returned.

This file uses the standard library only, and no syntax newer than Python 3.6 before the version check,
so that an old interpreter gets a message instead of a SyntaxError.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import NoReturn

OLDEST = (3, 11)
KNOWN_MINORS = (11, 12, 13)
ROOT = os.path.dirname(os.path.abspath(__file__))
WINDOWS = os.name == "nt"

USAGE = """\
usage: python3 dev.py COMMAND [ARGUMENTS]

  demo [...]       run the demonstration (arguments go to `holdfast demo`): --fleet 3, --notifications
  simulate [...]   what would these settings have done (arguments go to `holdfast simulate`)
  test [...]       run the tests with pytest, e.g. `test -k fallback -x`
                   --all-pythons   also with every other supported Python found on this machine
  lint             ruff check, ruff format --check, import-linter, mypy, pyright
  format           let ruff sort imports, fix and format
  docs [...]       run every Python snippet of README.md and docs/, check links and the field tables
  api              rewrite the snapshot of the public API (tests/repository/api_snapshot.txt)
  bench [...]      run the benchmarks
  mutate [...]     change single decisions of the code, and list the changes that no test notices
  shell            Python prompt with top-level await, the project installed
  run CMD [...]    run any command in the environment, e.g. `run python examples/request_fallback.py`
  install          only make or refresh the environment
"""


def say(message):
    """Print a line about what this script itself does."""
    print("dev.py: " + message, flush=True)


def fail(message: str) -> NoReturn:
    sys.exit("dev.py: " + message)


def version_of(python):
    """Return (major, minor) of an interpreter, or None when it cannot be run."""
    probe = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False
        )
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def find_python(minor):
    """Return the path of a working Python 3.``minor`` from PATH or pyenv, or None."""
    on_path = shutil.which("python3.%d" % minor)
    # A pyenv shim may be on PATH and yet refuse to run: hence the check by running it.
    if on_path and version_of(on_path) == (3, minor):
        return on_path
    versions = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
    names = os.listdir(versions) if os.path.isdir(versions) else []
    for name in sorted((n for n in names if n.startswith("3.%d." % minor)), reverse=True):
        candidate = os.path.join(versions, name, "bin", "python")
        if version_of(candidate) == (3, minor):
            return candidate
    return None


def check_version():
    if sys.version_info[:2] >= OLDEST:
        return
    newer = [path for path in map(find_python, reversed(KNOWN_MINORS)) if path]
    hint = (
        "Run it with one that is installed here:\n    %s dev.py %s" % (newer[0], " ".join(sys.argv[1:]))
        if newer
        else "No newer one was found on this machine; install Python 3.11 or newer first."
    )
    fail(
        "Python %d.%d or newer is needed, this is %s (%s).\n%s"
        % (*OLDEST, sys.version.split()[0], sys.executable, hint)
    )


class Environment:
    """A virtual environment that holds the project, made and refreshed on demand."""

    def __init__(self, folder, python, version):
        self.folder = os.path.join(ROOT, folder)
        self.base_python = python
        self.version = version
        self.bin = os.path.join(self.folder, "Scripts" if WINDOWS else "bin")
        self.python = os.path.join(self.bin, "python.exe" if WINDOWS else "python")
        self.stamp = os.path.join(self.folder, "holdfast-stamp.txt")

    def ready(self):
        """Make the environment when it is missing or out of date; cheap when it is up to date."""
        wanted, requirements = self._wanted()
        if os.path.exists(self.stamp) and os.path.exists(self.python):
            with open(self.stamp, encoding="utf-8") as file:
                if file.read().strip() == wanted:
                    return self
        relative = os.path.relpath(self.folder, ROOT)
        if version_of(self.python) != self.version:
            self._create(relative)
        say("installing the project and its tools in %s (about half a minute) ..." % relative)
        self._install(requirements)
        with open(self.stamp, "w", encoding="utf-8") as file:
            file.write(wanted + "\n")
        return self

    def run(self, command, extra_environment=None):
        """Run ``command`` inside the environment, from the root of the project; return its exit status."""
        environment = dict(os.environ, VIRTUAL_ENV=self.folder, **(extra_environment or {}))
        environment["PATH"] = self.bin + os.pathsep + environment.get("PATH", "")
        environment.pop("PYTHONHOME", None)
        sys.stdout.flush()
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        try:
            return subprocess.run([program, *command[1:]], cwd=ROOT, env=environment, check=False).returncode
        except FileNotFoundError:
            say("there is no command %r in the environment" % command[0])
            return 127
        except KeyboardInterrupt:
            return 130

    def _wanted(self):
        """Return the stamp of an up-to-date environment and the development requirements."""
        import tomllib

        with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
            project = tomllib.load(file)
        with open(os.path.join(ROOT, "constraints.txt"), "rb") as file:
            constraints = file.read()
        # Only what an installation depends on: a changed linter rule needs no reinstallation.
        parts = {key: project[key] for key in ("build-system", "project", "dependency-groups")}
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode() + constraints).hexdigest()
        return "%d.%d %s" % (*self.version, digest), project["dependency-groups"]["dev"]

    def _create(self, relative):
        say("making %s with Python %d.%d (%s) ..." % (relative, *self.version, self.base_python))
        shutil.rmtree(self.folder, ignore_errors=True)
        make = [self.base_python, "-m", "venv", self.folder]
        if _quiet(make) == 0:
            return
        # Debian splits ensurepip off into python3-venv; without it, pip from outside does the work.
        shutil.rmtree(self.folder, ignore_errors=True)
        say("this Python has no ensurepip: making the environment without pip ...")
        if subprocess.run([*make, "--without-pip"], check=False).returncode != 0:
            fail("`%s` failed; see the message above." % " ".join(make))

    def _install(self, requirements):
        installer = self._installer()
        constrained = ["-c", os.path.join(ROOT, "constraints.txt")]
        wanted = ["-e", ROOT + "[all]", *requirements]
        if subprocess.run([*installer, *constrained, *wanted], check=False).returncode == 0:
            return
        say("the tested versions in constraints.txt could not be installed; trying the newest ones ...")
        if subprocess.run([*installer, *wanted], check=False).returncode != 0:
            fail("the installation failed; see the messages above (is a package index reachable?)")

    def _installer(self):
        """Return the command prefix that installs into this environment."""
        options = ["-qq", "--disable-pip-version-check"]
        if _quiet([self.python, "-m", "pip", "--version"]) == 0:
            return [self.python, "-m", "pip", "install", *options]
        for outside in (self.base_python, sys.executable):
            with_target = [outside, "-m", "pip", "--python", self.python]
            if _quiet([*with_target, "--version"]) == 0:
                return [*with_target, "install", *options]
        # Last, because uv ignores pip's configuration (private indexes, certificates).
        uv = shutil.which("uv")
        if uv:
            return [uv, "pip", "install", "--quiet", "--python", self.python]
        fail(
            "no way to install packages: this Python has neither ensurepip nor pip >= 22.3, and uv was not "
            "found.\nInstall one of them, on Debian or Ubuntu: apt install python3-venv python3-pip"
        )


def _quiet(command):
    """Run a command without showing its output; return its exit status."""
    try:
        return subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        ).returncode
    except OSError:
        return 127


def current():
    return Environment(".venv", sys.executable, tuple(sys.version_info[:2])).ready()


def others():
    """Yield an environment for each other supported Python on this machine, oldest first."""
    for minor in KNOWN_MINORS:
        if (3, minor) == tuple(sys.version_info[:2]):
            continue
        python = find_python(minor)
        if python is None:
            say("Python 3.%d is not on this machine: its tests are left out" % minor)
            continue
        yield Environment(".venvs/py3.%d" % minor, python, (3, minor)).ready()


def test(arguments):
    every = "--all-pythons" in arguments
    arguments = [argument for argument in arguments if argument != "--all-pythons"]
    failed = []
    # The current Python comes last, so that the last line printed is the summary of the full run.
    for environment in others() if every else ():
        name = "Python %d.%d" % environment.version
        say("tests on %s" % name)
        if environment.run(["python", "-m", "pytest", *OTHER_PYTHONS_RUN, *arguments]) != 0:
            failed.append(name)
    environment = current()
    if failed:
        say("FAILED on %s (see above)" % ", ".join(failed))
    say("tests on Python %d.%d" % environment.version)
    status = environment.run(["python", "-m", "pytest", *arguments])
    return status or (1 if failed else 0)


# The same on every Python: what the repository is made of (docs, layers, public API, examples), the walks of
# the state machine, which is pure, what a killed process leaves behind, and what databases and brokers do.
OTHER_PYTHONS_RUN = [
    "--ignore=tests/repository",
    "--ignore=tests/model",
    "--ignore=tests/crash",
    "--ignore=tests/integration/brokers",
    "--ignore=tests/integration/inbox",
    "--ignore=tests/integration/outbox",
    "--ignore=tests/integration/saga_faults",
    "--ignore=tests/integration/saga_storage",
]

LINTERS = (
    ["ruff", "check"],
    ["ruff", "format", "--check"],
    ["lint-imports"],
    ["mypy"],
    ["pyright"],
)


def lint(arguments):
    if arguments:
        fail("lint takes no arguments; `python3 dev.py run ruff check ...` does")
    environment = current()
    failed = []
    for command in LINTERS:
        line = " ".join(command)
        say(line)
        # Else pyright's wrapper prints a reminder whenever a newer version was published.
        if environment.run(command, {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}) != 0:
            failed.append(line)
    say("FAILED: " + ", ".join(failed) if failed else "no complaints")
    return 1 if failed else 0


def format_(arguments):
    environment = current()
    return environment.run(["ruff", "check", "--fix", *arguments]) or environment.run(
        ["ruff", "format", *arguments]
    )


def run(arguments):
    if not arguments:
        fail("run needs a command, e.g. `python3 dev.py run python examples/request_fallback.py`")
    return current().run(arguments)


def install(arguments):
    if arguments:
        fail("install takes no arguments")
    say("%s is ready" % os.path.relpath(current().folder, ROOT))
    return 0


DOCS_TESTS = ["tests/repository/test_docs_%s.py" % part for part in ("snippets", "links", "fields")]

COMMANDS = {
    "demo": lambda arguments: current().run(["holdfast", "demo", *arguments]),
    "simulate": lambda arguments: current().run(["holdfast", "simulate", *arguments]),
    "test": test,
    "lint": lint,
    "format": format_,
    "docs": lambda arguments: current().run(["python", "-m", "pytest", *DOCS_TESTS, *arguments]),
    "api": lambda arguments: current().run(["python", "tests/repository/api_snapshot.py", *arguments]),
    "bench": lambda arguments: current().run(["python", "-m", "benchmarks", *arguments]),
    "mutate": lambda arguments: current().run(["python", "-m", "tools.mutation", *arguments]),
    "shell": lambda arguments: current().run(["python", "-m", "asyncio", *arguments]),
    "run": run,
    "install": install,
}


def main(arguments):
    check_version()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        print(USAGE, file=sys.stderr)
        fail("there is no command %r" % command)
    try:
        return COMMANDS[command](rest)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
