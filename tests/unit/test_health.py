"""`hashrange health`: which port it asks, and what it makes of the answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hashrange.cli import health


@pytest.mark.parametrize(
    ("command", "environ", "expected"),
    [
        ("hashrange serve", {}, ("127.0.0.1", 8000)),
        ("hashrange serve --port 8001", {"HASHRANGE_PORT": "9000"}, ("127.0.0.1", 8001)),
        ("hashrange serve --port=8001", {}, ("127.0.0.1", 8001)),
        ("hashrange serve", {"HASHRANGE_HOST": "0.0.0.0", "HASHRANGE_PORT": "9000"}, ("127.0.0.1", 9000)),
        ("hashrange serve --host 10.0.0.5", {"HASHRANGE_HOST": "0.0.0.0"}, ("10.0.0.5", 8000)),
        ("hashrange -jar DynamoDBLocal.jar -port 8002 -inMemory", {}, ("127.0.0.1", 8002)),
        ("/sbin/init -- hashrange serve --port 8003", {}, ("127.0.0.1", 8003)),
        ("hashrange node", {"HASHRANGE_PORT": "8101", "HASHRANGE_ADMIN_PORT": "8201"}, ("127.0.0.1", 8201)),
        ("hashrange router", {"HASHRANGE_PORT": "8000"}, ("127.0.0.1", 8000)),
        (
            "hashrange router",
            {"HASHRANGE_ADMIN_PORT": "8201", "HASHRANGE_ADMIN_HOST": "10.0.0.6", "HASHRANGE_HOST": "0.0.0.0"},
            ("10.0.0.6", 8201),
        ),
        ("hashrange triggers", {}, ("127.0.0.1", 8010)),
        ("hashrange dax", {}, ("127.0.0.1", 8211)),
        # Kubernetes sets this for a service named hashrange.
        ("hashrange serve", {"HASHRANGE_PORT": "tcp://10.96.0.7:8000"}, ("127.0.0.1", 8000)),
        # An embedded server has no admin port, whatever the environment says.
        ("hashrange serve", {"HASHRANGE_ADMIN_PORT": "8201"}, ("127.0.0.1", 8000)),
        ("", {}, ("127.0.0.1", 8000)),
    ],
)
def test_the_port_is_found_as_the_server_found_it(
    command: str, environ: dict[str, str], expected: tuple[str, int]
) -> None:
    assert health.address_of(command.split(), environ) == expected


def test_a_file_of_settings_is_read_and_the_environment_comes_after(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('id = 1\nport = 8101\nadmin-port = 8201\nadmin_host = "127.0.0.2"\n')
    command = ["hashrange", "node", "--config", str(file)]
    assert health.address_of(command, {}) == ("127.0.0.2", 8201)
    assert health.address_of(command, {"HASHRANGE_ADMIN_PORT": "8209"}) == ("127.0.0.2", 8209)
    assert health.address_of(["hashrange", "node"], {"HASHRANGE_CONFIG": str(file)}) == ("127.0.0.2", 8201)


@pytest.mark.parametrize(
    ("command", "environ", "said"),
    [
        ("hashrange node", {"HASHRANGE_PORT": "8101"}, "set HASHRANGE_ADMIN_PORT"),
        ("hashrange serve --port 0", {}, "no port that can be asked"),
        ("hashrange serve --port high", {}, "no port that can be asked"),
        ("hashrange serve --config /nowhere.toml", {}, "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_said(command: str, environ: dict[str, str], said: str) -> None:
    with pytest.raises(health.HealthError, match=said):
        health.address_of(command.split(), environ)


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that gives one answer, whatever it is asked; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_server_that_is_ready_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n") as port:
        assert health.run(f"http://127.0.0.1:{port}") == 0
    assert capsys.readouterr().out == "ready\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\nwaiting for nodes 2, 3\n",
            "answers 503: waiting for nodes 2, 3",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answers 404"),
        (b"nonsense", "answers nothing"),
        (b"", "answers nothing"),
    ],
)
def test_a_server_that_is_not_says_why(answer: bytes, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(answer) as port:
        assert health.run(f"127.0.0.1:{port}") == 1
    assert said in capsys.readouterr().err


def test_nobody_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert health.run(f"127.0.0.1:{port}", ready=False) == 1
    assert f"nothing answers on 127.0.0.1:{port}" in capsys.readouterr().err
