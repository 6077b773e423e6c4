"""What is needed, and what is done without."""

from __future__ import annotations

import asyncio
import socket
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest

from cqrs.cli import main
from cqrs.demo.fleet.server import ServerMissingError
from cqrs.demo.notifications import run
from cqrs.demo.notifications.facts import Facts
from cqrs.demo.notifications.metrics import read
from cqrs.demo.notifications.process import ServiceProcess
from cqrs.demo.notifications.serve import listen
from tests.unit.demo.notifications.support import a_good_run


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    def found(name: str) -> ModuleSpec | None:
        return None if name in modules else find_spec(name)

    monkeypatch.setattr(run, "find_spec", found)


def test_with_everything_there_nothing_is_missing() -> None:
    run.check_packages("uvicorn")
    run.check_packages("hypercorn")


@pytest.mark.parametrize(
    ("modules", "command"),
    [
        (["fastapi"], 'pip install "holdfast[fastapi]"'),
        (["prometheus_client", "hypercorn"], 'pip install "holdfast[prometheus]" hypercorn'),
        (["httpx", "httpx2"], 'pip install "holdfast[httpx2]"'),
        (["aiosmtpd"], "pip install aiosmtpd"),
    ],
)
def test_what_is_missing_is_status_2_with_the_command_that_gets_it(
    modules: list[str], command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, *modules)
    assert main(["demo", "--notifications", "--server", "hypercorn"]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"holdfast demo: The services need more packages. Get them with: {command}\n"
    assert captured.out == ""


def test_either_http_library_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "httpx2")
    run.check_packages("uvicorn")
    without(monkeypatch, "httpx")
    run.check_packages("uvicorn")


def test_without_a_redis_server_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(folder: Path) -> None:
        raise ServerMissingError("none was found")

    monkeypatch.setattr(run, "PrivateServer", missing)
    assert run.find_server(tmp_path) is None


async def test_a_process_that_does_not_answer_has_nothing_new_to_say(tmp_path: Path) -> None:
    facts: Facts = a_good_run()
    before = list(facts.processes[0].readings)
    nobody = ServiceProcess("notif 1", tmp_path)
    nobody.port = 1
    await read(facts, facts.processes[0], nobody)
    assert facts.processes[0].readings == before


async def test_answers_of_a_served_application_are_not_delayed() -> None:
    delayed: list[bool] = []
    accepted = asyncio.Event()

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        delayed.append(not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        accepted.set()

    listening = listen()
    async with await asyncio.start_server(accept, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname())
        await accepted.wait()
        writer.close()
        await writer.wait_closed()
    assert delayed == [False]


async def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    process = ServiceProcess("notif 1", tmp_path)
    with pytest.raises(
        RuntimeError, match=r"(?s)notif 1 did not start under uvicorn: .*threshold must be at"
    ):
        await process.start("notif", "uvicorn", {"threshold": 0})
    assert not process.running
    await process.stop()
