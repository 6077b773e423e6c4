"""A private Kafka: librdkafka's mock cluster, out of the ``confluent-kafka`` wheel, in a process of its own.

Real TCP and the real protocol: produce, fetch, consumer groups, transactions. Memory only; topics are created
when they are first asked for; one aiokafka member per group; no CreateTopics. Brokers choose their ports.
"""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from tests.servers.base import START_LIMIT, wait_until
from tests.servers.binaries import ServerMissing
from tests.servers.process import Process

PRODUCE = 0  # request numbers of the protocol (kafka.apache.org/protocol#protocol_api_keys)
FETCH = 1
OFFSET_COMMIT = 8
INIT_PRODUCER_ID = 22

MESSAGE_TOO_LARGE = 10  # error numbers of the protocol
NOT_ENOUGH_REPLICAS = 19
TOPIC_AUTHORIZATION_FAILED = 29


class KafkaMock:
    """A cluster of mock brokers, numbered from 1; started by ``with``, which ends it too."""

    def __init__(self, brokers: int = 1) -> None:
        if find_spec("confluent_kafka") is None:
            raise ServerMissing("no Kafka: pip install confluent-kafka, or set HOLDFAST_TEST_KAFKA_BOOTSTRAP")
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self.brokers = brokers
        self.bootstrap = ""
        self._process: Process | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.servers.kafka_mock", str(self.folder), str(self.brokers)]
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(each for each in (root, os.environ.get("PYTHONPATH", "")) if each)
        try:
            self._process = Process(command, self.folder, {"PYTHONPATH": path})
            wait_until(self._ready, "the mock cluster answers", START_LIMIT)
            self.bootstrap = self.command("bootstrap")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.end(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first broker."""
        host, _, port = self.bootstrap.split(",")[0].rpartition(":")
        return host, int(port)

    def create_topic(self, topic: str, partitions: int = 4) -> None:
        """Create a topic; one that is first asked for by a client has four partitions."""
        self.command("topic", topic, partitions)

    def fail(self, request: int, error: int, times: int = 1) -> None:
        """Answer the next requests of a kind with an error."""
        self.command("fail", request, error, times)

    def set_round_trip(self, seconds: float, broker: int = 1) -> None:
        """Let every answer of a broker take so long."""
        self.command("rtt", broker, round(seconds * 1000))

    @contextmanager
    def down(self, broker: int = 1) -> Iterator[None]:
        """Close a broker's connections and refuse new ones for the length of a block; data stay."""
        self.command("down", broker)
        try:
            yield
        finally:
            self.command("up", broker)

    def command(self, *words: object) -> str:
        """Send one command to the process; returns its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_LIMIT)
            connection.connect(str(self.folder / "s"))
            connection.sendall(" ".join(map(str, words)).encode() + b"\n")
            answer = connection.makefile().readline().strip()
        if answer.startswith("error"):
            raise RuntimeError(f"the mock cluster: {answer} to {words}")
        return answer

    def _ready(self) -> bool:
        assert self._process is not None
        if not self._process.running:
            raise RuntimeError(f"the mock cluster did not start:\n{(self.folder / 'log').read_text()}")
        return (self.folder / "s").exists()


class Library:
    """The mock cluster's functions in librdkafka (rdkafka_mock.h)."""

    def __init__(self, brokers: int) -> None:
        import confluent_kafka.cimpl

        folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
        found = glob.glob(str(folder / "librdkafka*"))
        self._library: Any = ctypes.CDLL(found[0] if found else confluent_kafka.cimpl.__file__)
        buffer = ctypes.create_string_buffer(512)
        configuration = self._call("rd_kafka_conf_new", ctypes.c_void_p)
        client = self._call(
            "rd_kafka_new", ctypes.c_void_p, 0, ctypes.c_void_p(configuration), buffer, ctypes.c_size_t(512)
        )
        made = self._call("rd_kafka_mock_cluster_new", ctypes.c_void_p, ctypes.c_void_p(client), brokers)
        self._cluster = ctypes.c_void_p(made)
        # As a real broker, it would wait 3 s for more members before a group's first assignment.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(50))

    def bootstrap(self) -> str:
        name = "rd_kafka_mock_cluster_bootstraps"
        return bytes(self._call(name, ctypes.c_char_p, self._cluster)).decode()

    def execute(self, name: str, *words: str) -> int:
        if name == "topic":
            topic, partitions = words
            return self._mock("topic_create", topic.encode(), int(partitions), 1)
        if name == "fail":
            request, error, times = map(int, words)
            errors = (ctypes.c_int * times)(*[error] * times)
            function = self._library.rd_kafka_mock_push_request_errors_array
            function.restype = None
            function(self._cluster, ctypes.c_int16(request), ctypes.c_size_t(times), errors)
            return 0
        if name == "rtt":
            return self._mock("broker_set_rtt", ctypes.c_int32(int(words[0])), int(words[1]))
        return self._mock(f"broker_set_{name}", ctypes.c_int32(int(words[0])))

    def _mock(self, name: str, *arguments: Any) -> int:
        return int(self._call(f"rd_kafka_mock_{name}", ctypes.c_int, self._cluster, *arguments))

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        function = getattr(self._library, name)
        function.restype = result
        return function(*arguments)


def serve(folder: Path, brokers: int) -> None:
    """Run a cluster and execute commands that come over the folder's unix socket, until killed."""
    library = Library(brokers)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "new"))
        listener.listen()
        (folder / "new").rename(folder / "s")
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as stream:
                words = stream.readline().split()
                if words == ["bootstrap"]:
                    answer = library.bootstrap()
                elif words:
                    code = library.execute(*words)
                    answer = "ok" if code == 0 else f"error {code}"
                else:
                    continue
                stream.write(f"{answer}\n")


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
