"""A real process on a real socket: slow and endless clients are cut off, and stopping finishes what runs."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Process:
    """One running service."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        paths = [str(HERE.parent), os.environ.get("PYTHONPATH", ""), *sys.path]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "service_process.py"), str(self.port)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = [self.process.stderr.readline()]
        threading.Thread(target=self._read, daemon=True).start()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                self.connect().close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)

    def _read(self):
        self.lines += self.process.stderr

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, text):
        """Sends bytes and returns all that comes until the connection is closed."""
        with self.connect() as connection:
            connection.sendall(text)
            return rest_of(connection)


def rest_of(connection):
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def first_answer(connection):
    """Returns the answer of a connection that stays open."""
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(65536)
    return answer


def get(path, *, close=True):
    end = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{end}\r\n".encode()


@pytest.fixture(scope="module")
def service():
    running = Process()
    yield running
    running.process.kill()
    running.process.wait()


def test_it_answers(service):
    assert b'{"status":"ok"}' in service.ask(get("/healthz"))
    assert json.loads(service.lines[0])["event"] == "listening"


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "]
)
def test_a_head_that_does_not_come_is_not_waited_for(service, sent):
    with service.connect() as connection:
        connection.sendall(sent)
        assert rest_of(connection) == b""


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(service):
    sent = 0
    with service.connect() as connection, contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"G")
            sent += 1
            time.sleep(0.05)
    assert sent < 100


def test_a_second_head_that_does_not_come_is_not_waited_for(service):
    with service.connect() as connection:
        connection.sendall(get("/healthz", close=False))
        first_answer(connection)
        connection.sendall(b"GET /he")
        assert rest_of(connection) == b""


def test_a_body_that_does_not_come_is_not_waited_for(service):
    head = b"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = service.ask(head + b'Content-Length: 50\r\n\r\n{"record"')
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive in time" in answer


def test_an_endless_body_is_cut_off(service):
    head = b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    sent = 0
    with service.connect() as connection:
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(part), part))
        try:
            while sent < 2**26:
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            pass
    assert sent < 2**25
    assert b'{"status":"ok"}' in service.ask(get("/healthz"))


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000, b"\0" * 100 + b"\r\n\r\n"],
)
def test_what_is_no_http_is_refused(service, sent):
    answer = service.ask(sent)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_stopping_finishes_what_runs_and_refuses_what_is_new():
    service = Process()
    try:
        slow, waiting = service.connect(), service.connect()
        waiting.sendall(get("/healthz", close=False))
        assert b"200 OK" in first_answer(waiting)
        slow.sendall(get("/v1/gallery/map"))
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        answer = rest_of(slow)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"points":[]' in answer
        waiting.sendall(get("/v1/gallery"))
        late = rest_of(waiting)
        assert late == b"" or late.startswith(b"HTTP/1.1 503")
        assert service.process.wait(20) in (0, -signal.SIGTERM)
        with pytest.raises(ConnectionRefusedError):
            service.connect()
    finally:
        service.process.kill()
    events = [json.loads(line)["event"] for line in service.lines]
    assert events[0] == "listening"
    assert "fault" not in events
