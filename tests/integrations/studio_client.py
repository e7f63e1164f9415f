"""A studio that runs, and its HTTP interface as its pages use it."""

import http.client
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import vidgan


@contextmanager
def studio(folder: Path, *options: str) -> Iterator[str]:
    """The address of a studio that runs in ``folder`` on what is in ``runs`` and ``zoo``."""
    command = [sys.executable, "-m", "vidgan", "studio", "--port", "0", *options]
    environment = os.environ | {"PYTHONPATH": str(Path(vidgan.__file__).parents[1])}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.:]+/", process.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()
            assert process.wait(30) == 0


class Answer(NamedTuple):
    """What came of a request."""

    status: int
    body: str

    @property
    def refused(self) -> bool:
        """Whether it was refused with a message."""
        if self.status != 200:
            return 400 <= self.status < 500 and len(self.body) > 10
        return 'class="fault"' in self.body.replace("\\", "") or '"success":false' in self.body.replace(
            " ", ""
        )


class User:
    """Who uses a page: one session."""

    def __init__(self, address: str) -> None:
        self.host, self.session = urlsplit(address).netloc, uuid.uuid4().hex[:10]

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """Send a request; a stream is read to where it says that it is done."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            if body is not None and "Content_Length" not in headers:
                headers["Content_Length"] = str(len(body))
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            response = connection.getresponse()
            if "event-stream" not in (response.getheader("content-type") or ""):
                return Answer(response.status, response.read().decode(errors="replace"))
            lines = []
            for line in response:
                lines.append(line.decode(errors="replace"))
                if any(
                    word in lines[-1]
                    for word in ('"process_completed"', '"close_stream"', '"unexpected_error"')
                ):
                    break
            return Answer(response.status, "".join(lines))
        finally:
            connection.close()

    def functions(self) -> dict[str, dict[str, Any]]:
        """What pages call, by page and name, such as ``train/ending``: Gradio's own description."""
        config = json.loads(self.ask("/config").body)
        names = {index: page for page, content in config["page"].items() for index in content["dependencies"]}
        parts = {component["id"]: component for component in config["components"]}
        found: dict[str, dict[str, Any]] = {}
        for each in config["dependencies"]:
            each["parts"] = [parts[index] for index in each["inputs"]]
            # One that several events call has a number behind its name.
            found.setdefault(f"{names[each['id']]}/{re.sub(r'_[0-9]+$', '', each['api_name'])}", each)
        return found

    def call(self, function: dict[str, Any], values: Sequence[Any], event: Any = None) -> Answer:
        """Call a function as a page does."""
        sent = {
            "data": list(values),
            "fn_index": function["id"],
            "session_hash": self.session,
            "event_data": event,
        }
        joined = self.ask(
            "/gradio_api/queue/join", "POST", json.dumps(sent).encode(), Content_Type="application/json"
        )
        if joined.status != 200:
            return joined
        return self.ask(f"/gradio_api/queue/data?session_hash={self.session}")
