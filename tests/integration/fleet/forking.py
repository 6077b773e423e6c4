"""What workers run: forks of a process whose store is in use."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import CircuitBreakers, CircuitOpenError, RedisStore
from tests.integration.fleet.member import Member, policy_of

LIMIT = 8.0


def sockets() -> set[str]:
    """Return the sockets of this process, by what the kernel calls them."""
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return {each for each in found if each.startswith("socket:")}


def fork(run: Callable[[], Any]) -> Any:
    """Run something in a forked child; return what it returned. The child is gone afterwards."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads: just what is tested
        child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            said = {"result": run()}
        except BaseException:
            said = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    killer = threading.Timer(2 * LIMIT, os.kill, [child, 9])
    killer.start()
    try:
        text = b""
        while data := os.read(reader, 65536):
            text += data
        os.waitpid(child, 0)
    finally:
        killer.cancel()
        os.close(reader)
    answer = json.loads(text or b'{"error": "the child hung"}')
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def poll(reached: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + LIMIT
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def describe(member: Member, name: str, wanted: str) -> dict[str, Any]:
    """Wait for a state; tell who this process is and what it sees."""
    circuit = member.breakers[name]
    reached = poll(lambda: circuit.state.value == wanted)
    first = member.call(name)[0]
    answered = member.store.start(LIMIT) and poll(lambda: member.store.health().age < 1)
    health = member.store.health()
    return {
        "reached": reached,
        "first": first,
        "answered": answered,
        "node": health.node,
        "degraded": health.degraded,
        "living": health.living,
        "sockets": sorted(sockets()),
        "threads": sorted(each.name for each in threading.enumerate()),
    }


def fork_and_describe(member: Member, name: str, wanted: str, depth: int = 1) -> list[dict[str, Any]]:
    """Return what this process and its child see, and the child's child, up to ``depth``."""
    circuit = member.breakers[name]
    own = {"node": member.store.health().node, "sockets": sorted(sockets()), "state": circuit.state.value}
    if depth > 1:
        return [own, *fork(lambda: fork_and_describe(member, name, wanted, depth - 1))]
    return [own, fork(lambda: describe(member, name, wanted))]


def preload(member: Member, name: str, wanted: str, children: int) -> list[dict[str, Any]]:
    """Be the master of a server that loads the application once and forks: wait for children only."""
    answers: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(fork(lambda: describe(member, name, wanted))))
        for _ in range(children)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def fork_in_a_storm(member: Member, name: str, forks: int) -> list[list[str]]:
    """Fork again and again while threads call; each child calls too, and ends in an orderly way."""
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            member.call(name)

    def child() -> list[str]:
        results = member.call(name, "ok", 3) + member.call(name, "ok", 3, "async")
        assert member.store.start(LIMIT), "the child's store did not answer"
        member.store.close()
        return results

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        return [fork(child) for _ in range(forks)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def end_a_probe_in_a_child(member: Member, key: str, how: str) -> bool:
    """Fork with a permit in hand; the child's copy of it ends, the call goes on in the parent."""

    def child() -> bool:
        if how == "close":
            member.store.close()
            return True
        if how == "settle":
            member.permits.pop(key).success()
        else:
            member.permits.pop(key).drop()
        for _ in range(3):  # what it had to say before is said by now
            member.view(key)
        return True

    return bool(fork(child))


_member: list[Member] = []


def with_multiprocessing(member: Member, name: str, method: str, url: str, policy: str) -> dict[str, Any]:
    """Have a child of ``multiprocessing`` tell what it sees."""
    _member[:] = [member]
    context: Any = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    arguments = (
        (sender, name) if method == "fork" else (sender, name, url, policy, member.store.settings.namespace)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=_forked if method == "fork" else _spawned, args=arguments)
        child.start()
    sender.close()
    try:
        told: dict[str, Any] = receiver.recv() if receiver.poll(2 * LIMIT) else {"error": "no answer"}
        child.join(LIMIT)
    finally:
        if child.is_alive():
            child.kill()
    receiver.close()
    return told | {"exit": child.exitcode}


def _forked(sender: Any, name: str) -> None:
    sender.send(describe(_member[0], name, "open"))


def _spawned(sender: Any, name: str, url: str, policy: str, namespace: str) -> None:
    store = RedisStore(url, namespace=namespace, sync_interval=0.1)
    breakers = CircuitBreakers(policy_of(policy), store=store)
    store.start()
    try:
        breakers[name].call(socket.gethostname)
    except CircuitOpenError:
        sender.send({"first": "rejected", "node": store.health().node})
    else:
        sender.send({"first": "ok", "node": store.health().node})
