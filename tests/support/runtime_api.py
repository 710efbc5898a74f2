"""Lambda on this machine: the Runtime API that AWS's own runtime client speaks, and a container with a function in it.

The container is a process of Python without this environment's packages: it sees the function's folder first, as on
Lambda, then what Lambda's runtime brings along (``awslambdaric``, botocore). Memory and processor are held to the
function's by control groups, where this machine lets us make some.

The API is the one of "Using the Lambda runtime API" in the Lambda Developer Guide, version 2018-06-01.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import uuid4

import awslambdaric  # type: ignore[import-untyped]  # it has no types
import msgspec
import re2
import zstandard

import simple_log_service
from support.api_template import ACCOUNT, REGION
from support.control_groups import ControlGroup

TIMEOUT_SECONDS = 30
SECRET_ACCESS_KEY = "the-functions-own-secret"
SESSION_TOKEN = "the-functions-own-token"
MEMORY_MB = 256
CPU_SHARE = MEMORY_MB / 1769
"""Lambda gives one processor at 1,769 MB, and in proportion below ("Configure Lambda function memory")."""

SITE_PACKAGES = Path(awslambdaric.__file__).parent.parent
RUNTIME_PACKAGES = (
    "awslambdaric",
    "awslambdaric-*.dist-info",
    "runtime_client.*.so",
    "simplejson",
    "snapshot_restore_py.py",
    "botocore",
    "jmespath",
    "dateutil",
    "six.py",
    "urllib3",
)
"""What Lambda's runtime holds of what our package leaves out, as names in this environment."""

RESPONSE_BYTES_MAX = 6_291_556
"""Of an answer: Lambda's runtime API refuses more ("Lambda quotas")."""

_PREFIX = "/2018-06-01/runtime/"
_WAIT_SECONDS_MAX = 60.0


class FunctionFailed(Exception):
    """The function ended, raised, or said too much: what API Gateway would answer with a bare 502."""


class OutOfTime(FunctionFailed):
    """Nothing was said in time."""


class Answered(NamedTuple):
    """What an invocation gave: the function's answer, and how long it took from the event to the answer."""

    payload: Any
    seconds: float


class _Api(ThreadingHTTPServer):
    """One function's end of the Runtime API. ``events`` go out one by one, ``results`` come back."""

    daemon_threads = True

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
        self.timeout_seconds = timeout_seconds
        self.events: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self.results: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.ready = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A function that was ended has left: nothing to tell. Anything else shows as an answer that never comes."""

    def stop(self) -> None:
        """Let the function's last question go unanswered."""
        self.events.put(None)
        self.shutdown()


class _Calls(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for each answer: two would wait for each other's acknowledgement, 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Api

    def do_GET(self) -> None:
        assert self.path == _PREFIX + "invocation/next"
        self.server.ready.set()
        given = self.server.events.get()
        if given is None:
            self.close_connection = True
            return
        request_id, event = given
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.server.timeout_seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tests",
            "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
            # The client fails where these two are missing.
            "Lambda-Runtime-Client-Context": "{}",
            "Lambda-Runtime-Cognito-Identity": "{}",
        }
        self._answer(200, headers, event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(202, {"Content-Type": "application/json"}, b'{"status":"OK"}')
        self.server.results.put((self.path.removeprefix(_PREFIX), body))

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""


class Container:
    """A function in its container. ``group`` is what holds it, ``lines`` what it has written to its log so far."""

    def __init__(self, api: _Api, process: subprocess.Popen[str], group: ControlGroup, log: Path) -> None:
        self.process = process
        self.group = group
        self._api = api
        self._log = log

    @property
    def lines(self) -> list[str]:
        """Its standard output and error."""
        return self._log.read_text().splitlines()

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Those of its lines that are JSON objects."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the process so far: fields 14 and 15 of proc(5)'s stat."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_bytes_max(self) -> int:
        """The most memory that the process ever had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def invoke(self, event: object, request_id: str | None = None) -> Any:
        """What the function returns for this event; raises ``FunctionFailed`` with the log where it fails."""
        return self.timed(json.dumps(event).encode(), request_id).payload

    def timed(self, event: bytes, request_id: str | None = None, *, seconds_max: float = _WAIT_SECONDS_MAX) -> Answered:
        """The same for an event as JSON, with the time that it took; raises ``OutOfTime`` after ``seconds_max``."""
        given = request_id or str(uuid4())
        began = time.perf_counter()
        self._api.events.put((given, event))
        path, body = self._result(began + seconds_max)
        seconds = time.perf_counter() - began
        if path != f"invocation/{given}/response":
            raise FunctionFailed(f"{path}: {body.decode()}\n" + "\n".join(self.lines))
        if len(body) > RESPONSE_BYTES_MAX:
            raise FunctionFailed(f"Response payload size exceeded: {len(body)} bytes")
        return Answered(json.loads(body), seconds)

    def wait_until_ready(self) -> None:
        """Until the function is set up and asks for its first event; raises ``FunctionFailed`` where it cannot be."""
        while not self._api.ready.wait(0.005):
            if self.process.poll() is not None:
                raise FunctionFailed("\n".join(self.lines))

    def _result(self, until: float) -> tuple[str, bytes]:
        """What the function posts; ``until`` is in seconds of ``time.perf_counter``."""
        while True:
            try:
                return self._api.results.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None:
                    raise FunctionFailed("\n".join(self.lines)) from None
                if time.perf_counter() > until:
                    raise OutOfTime("\n".join(self.lines)) from None


@contextmanager
def source_folder() -> Iterator[Path]:
    """A package's folder that was not built: links to our own code and to what ``requirements/lambda.txt`` names."""
    with TemporaryDirectory(prefix="slog-code-") as name:
        folder = Path(name)
        for module in (simple_log_service, msgspec, re2, zstandard):
            assert module.__file__ is not None
            found = Path(module.__file__).parent
            (folder / found.name).symlink_to(found)
        yield folder


@contextmanager
def runtime_folder() -> Iterator[Path]:
    """A folder with what Lambda's runtime has beside a function's own, as links into this environment."""
    with TemporaryDirectory(prefix="slog-runtime-") as name:
        folder = Path(name)
        for pattern in RUNTIME_PACKAGES:
            for found in SITE_PACKAGES.glob(pattern):
                (folder / found.name).symlink_to(found)
        yield folder


@contextmanager
def container(
    handler: str,
    folder: Path,
    environ: Mapping[str, str],
    *,
    limited: bool = True,
    timeout_seconds: float = TIMEOUT_SECONDS,
    options: tuple[str, ...] = (),
) -> Iterator[Container]:
    """A container of the function ``handler`` (module and name) whose code lies in ``folder``; ended afterwards.

    Setting it up goes on in the background: ``wait_until_ready``. ``timeout_seconds`` is what the
    function is told that it has; nothing ends it after that. ``options`` are the interpreter's.
    """
    with ExitStack() as stack:
        runtime = stack.enter_context(runtime_folder())
        group = stack.enter_context(ControlGroup.made(MEMORY_MB, CPU_SHARE) if limited else ControlGroup.none())
        api = stack.enter_context(_Api(timeout_seconds))
        serving = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        stack.callback(serving.join)
        stack.callback(api.stop)
        log_folder = Path(stack.enter_context(TemporaryDirectory(prefix="slog-function-")))
        log = log_folder / "log"
        process = subprocess.Popen(
            group.command([sys.executable, "-S", *options, "-m", "awslambdaric", handler]),
            env={**_environ(api, folder, runtime), **environ},
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            text=True,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield Container(api, process, group, log)


def _environ(api: _Api, folder: Path, runtime: Path) -> dict[str, str]:
    """What Lambda sets; "Using Lambda environment variables" lists it."""
    return {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_address[1]}",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": "tests",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "ASIAFUNCTIONSROLE000",
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_SESSION_TOKEN": SESSION_TOKEN,
        "LAMBDA_TASK_ROOT": os.fspath(folder),
        "PYTHONPATH": f"{folder}{os.pathsep}{runtime}",
        # A function's folder cannot be written to.
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "en_US.UTF-8",
        "PATH": os.environ["PATH"],
        "TZ": ":UTC",
    }
