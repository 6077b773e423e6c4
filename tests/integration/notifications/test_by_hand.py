"""The services as the example's page starts them: by the commands of the servers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest

from cqrs.demo.process import free_port
from tests.integration.notifications.running import PATIENCE, Mails, until
from tests.repository.pages import ROOT


@asynccontextmanager
async def started(command: Sequence[str], port: int, **environment: str) -> AsyncIterator[httpx2.AsyncClient]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = asyncio.create_task(process.stderr.read())
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:

            async def answers() -> bool:
                assert process.returncode is None, (await said).decode()
                try:
                    return (await client.get("/healthz")).status_code == 200
                except httpx2.ConnectError:
                    return False

            await until(answers)
            yield client
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    assert b"Traceback" not in await said


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
async def test_the_services_run_under_the_commands_of_the_page(server: str, mails: Mails) -> None:
    def command(service: str, port: int) -> list[str]:
        where = ["--port", str(port)] if server == "uvicorn" else ["--bind", f"127.0.0.1:{port}"]
        return [server, f"examples.notifications.{service}:app", *where]

    ports = free_port(), free_port()
    settings = {
        "USER_URL": f"http://127.0.0.1:{ports[0]}/v1",
        "NOTIF_SMTP_PORT": str(mails.sink.port),
        "NOTIF_TTL": "60",
    }
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(started(command("user", ports[0]), ports[0]))
        notif = await stack.enter_async_context(started(command("notif", ports[1]), ports[1], **settings))
        answers = [
            (await notif.post("/v1/notification", json={"username": username, "message": "hello"})).json()
            for username in ("hinata", "naruto", "naruto", "naruto", "hinata")
        ]
    assert [answer["reason"] for answer in answers] == [None, "error", "error", "error", "circuit_open"]
    assert list(mails.recipients.values()) == ["hinata@example.test"]
