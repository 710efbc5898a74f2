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

from support.control_groups import ControlGroup

REGION = "us-east-1"
TIMEOUT_SECONDS = 30
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

_PREFIX = "/2018-06-01/runtime/"
_WAIT_SECONDS_MAX = 60.0


class FunctionFailed(Exception):
    """The function ended, or raised: what API Gateway would answer with a bare 502."""


class Answered(NamedTuple):
    """What an invocation gave: the function's answer, and how long it took from the event to the answer."""

    payload: Any
    seconds: float


class _Api(ThreadingHTTPServer):
    """One function's end of the Runtime API. ``events`` go out one by one, ``results`` come back."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
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
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + TIMEOUT_SECONDS) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:123456789012:function:tests",
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

    def timed(self, event: bytes, request_id: str | None = None) -> Answered:
        """The same for an event as JSON, with the time that it took."""
        given = request_id or str(uuid4())
        began = time.perf_counter()
        self._api.events.put((given, event))
        path, body = self._result()
        seconds = time.perf_counter() - began
        if path != f"invocation/{given}/response":
            raise FunctionFailed(f"{path}: {body.decode()}\n" + "\n".join(self.lines))
        return Answered(json.loads(body), seconds)

    def wait_until_ready(self) -> None:
        """Until the function is set up and asks for its first event; raises ``FunctionFailed`` where it cannot be."""
        while not self._api.ready.wait(0.005):
            if self.process.poll() is not None:
                raise FunctionFailed("\n".join(self.lines))

    def _result(self) -> tuple[str, bytes]:
        waited_until = time.monotonic() + _WAIT_SECONDS_MAX
        while True:
            try:
                return self._api.results.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None or time.monotonic() > waited_until:
                    raise FunctionFailed("\n".join(self.lines)) from None


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
    options: tuple[str, ...] = (),
) -> Iterator[Container]:
    """A container of the function ``handler`` (module and name) whose code lies in ``folder``; ended afterwards.

    Setting it up goes on in the background: ``wait_until_ready``. ``options`` are the interpreter's.
    """
    with ExitStack() as stack:
        runtime = stack.enter_context(runtime_folder())
        group = stack.enter_context(ControlGroup.made(MEMORY_MB, CPU_SHARE) if limited else ControlGroup.none())
        api = stack.enter_context(_Api())
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
        "AWS_SECRET_ACCESS_KEY": "the-functions-own-secret",
        "AWS_SESSION_TOKEN": "the-functions-own-token",
        "LAMBDA_TASK_ROOT": os.fspath(folder),
        "PYTHONPATH": f"{folder}{os.pathsep}{runtime}",
        # A function's folder cannot be written to.
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "en_US.UTF-8",
        "PATH": os.environ["PATH"],
        "TZ": ":UTC",
    }
