"""Who may ask the studio for what, without Gradio: the guard before an application that answers everything."""

import asyncio
import json
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from vidgan.errors import UserError
from vidgan.studio import access
from vidgan.studio.access import Access, Guard

TOKEN = "correct horse battery"
LOCAL = Access(port=7860)
OPEN = Access("0.0.0.0", 7860, TOKEN)


class Answered:
    """What came of a request: status, headers, body, and what the application read of it (None: not asked)."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, dict[str, str](), b""
        self.read: bytes | None = None


def asked(
    guard: Guard,
    path: str,
    method: str = "GET",
    body: bytes | list[bytes] = b"",
    scheme: str = "http",
    **headers: str,
) -> Answered:
    """Send a request; headers by their names, ``_`` for ``-``."""
    found, parts = Answered(), body if isinstance(body, list) else [body]
    heads = {"host": "127.0.0.1:7860"} | {name.replace("_", "-"): value for name, value in headers.items()}

    async def receive() -> MutableMapping[str, Any]:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        found.body += message.get("body", b"")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.read = await access.read(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    guard.app = app
    scope = {"type": scheme, "path": path, "method": method}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in heads.items()]  # type: ignore[assignment]
    asyncio.run(guard(scope, receive, send))
    return found


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    (tmp_path / "uploads" / "a").mkdir(parents=True)
    (tmp_path / "uploads" / "a" / "clip.mp4").write_bytes(b"clip")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "uploads" / "link").symlink_to(tmp_path / "secret")
    return tmp_path / "uploads"


def guard_of(uploads: Path, access: Access = LOCAL) -> Guard:
    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    return Guard(nothing, access, ("", "/train"), uploads)


@pytest.mark.parametrize(
    "path", ["/", "/train", "/train/", "/config", "/assets/index-1a.js", "/gradio_api/queue/data"]
)
def test_addresses_of_pages_are_answered(uploads: Path, path: str) -> None:
    answer = asked(guard_of(uploads), path)
    assert (answer.status, answer.body) == (200, b"page")
    assert "default-src 'self'" in answer.headers["content-security-policy"]


OTHERS = (
    "/gradio_api/proxy=http://169.254.169.254/latest",
    "/gradio_api/vibe-code/",
    "/gradio_api/runs",
    "/gradio_api/openapi.json",
    "/gradio_api/custom_component/1/client/a/b.js",
    "/monitoring",
    "/monitoring/summary",
    "/gradio_api/deep_link",
    "/static/../../secret",
    "/assets/..",
    "/assets/%2e%2e/secret",
    "/assets/\x00",
    "/train/../secret",
    "//evil.example/",
    "/gradio_api/stream/a/1/2/playlist.m3u8",
    "/gradio_api/file/etc/passwd",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=/proc/self/environ",
    "/gradio_api/file=http://169.254.169.254/",
    "/gradio_api/file=~/.ssh/id_rsa",
    "/gradio_api/file=",
)


@pytest.mark.parametrize("path", OTHERS)
def test_other_addresses_are_not(uploads: Path, path: str) -> None:
    answer = asked(guard_of(uploads), path)
    assert (answer.status, answer.read) == (404, None)
    assert json.loads(answer.body) == {"detail": "the studio has no such address"}


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/gradio_api/component_server", "POST"),
        ("/gradio_api/run/predict", "POST"),
        ("/gradio_api/call/show", "POST"),
        ("/gradio_api/process_recording", "POST"),
        ("/gradio_api/vibe-edit/", "POST"),
        ("/", "POST"),
        ("/", "DELETE"),
        ("/config", "PUT"),
        ("/gradio_api/queue/join", "TRACE"),
    ],
)
def test_other_methods_are_not(uploads: Path, path: str, method: str) -> None:
    answer = asked(guard_of(uploads), path, method)
    assert (answer.status, answer.read) == (404, None)


def test_uploaded_files_alone_are_read_back(uploads: Path) -> None:
    guard = guard_of(uploads)
    assert asked(guard, f"/gradio_api/file={uploads}/a/clip.mp4").status == 200
    for path in (uploads / "link", uploads / "a" / ".." / ".." / "secret", uploads / "none", uploads):
        assert asked(guard, f"/gradio_api/file={path}").status == 404
    assert asked(guard, f"/gradio_api/file={uploads}/%2e%2e/secret").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example:7860", "", "[::"]
)
def test_another_name_of_this_machine_is_refused(uploads: Path, host: str) -> None:
    answer = asked(guard_of(uploads), "/", host=host)
    assert (answer.status, answer.read) == (403, None)


def test_other_pages_cannot_send(uploads: Path) -> None:
    guard = guard_of(uploads)
    join = ("/gradio_api/queue/join", "POST", b"{}")
    assert asked(guard, *join, origin="http://127.0.0.1:7860").status == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://["):
        answer = asked(guard, *join, origin=origin)
        assert (answer.status in (400, 403), answer.read) == (True, None)


def test_large_requests_are_refused_before_they_are_read(uploads: Path) -> None:
    guard, path = guard_of(uploads), "/gradio_api/queue/join"
    assert asked(guard, path, "POST", content_length=str(2**20 + 1)).status == 413
    assert asked(guard, "/gradio_api/upload", "POST", content_length=str(2**26 + 1)).status == 413
    assert asked(guard, path, "POST", content_length="9" * 5000).status == 413
    for length in ("-1", "1e3", "x", "٣"):
        assert asked(guard, path, "POST", content_length=length.encode().decode("latin-1")).status == 400
    assert asked(guard, "/gradio_api/upload", "POST", content_length=str(2**20 + 1)).status == 200


def test_a_request_that_tells_no_length_ends_where_it_is_too_large(uploads: Path) -> None:
    answer = asked(guard_of(uploads), "/gradio_api/queue/join", "POST", [b"a" * 2**19] * 4 + [b""])
    assert answer.read is not None
    assert len(answer.read) == 2**20
    assert (answer.status, json.loads(answer.body)) == (413, {"detail": "that is too large: at most 1 MiB"})


def part(name: str) -> bytes:
    return (
        f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\ncontent\r\n'.encode()
    )


@pytest.mark.parametrize("name", ["a.mp4", "a b.WEBM", "a.exe.png", "../../a.gif"])
def test_videos_and_images_are_taken(uploads: Path, name: str) -> None:
    answer = asked(guard_of(uploads), "/gradio_api/upload", "POST", part(name))
    assert (answer.status, answer.read) == (200, part(name))


@pytest.mark.parametrize(
    "name", ["a.exe", "a.mp4.html", "a.svg", "a", ".mp4", "", "a.mp4\u0000.sh", "a.pt", "a.py", "a.pkl"]
)
def test_files_of_other_kinds_are_refused(uploads: Path, name: str) -> None:
    for body in (part(name), [part("a.mp4"), part(name)], [part(name)[:70], part(name)[70:]]):
        answer = asked(guard_of(uploads), "/gradio_api/upload", "POST", body)
        assert answer.status == 415
        assert "is no video or image" in json.loads(answer.body)["detail"]


def test_uploads_stop_where_too_many_are_kept(uploads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "UPLOADS_KEPT", 10)
    guard = guard_of(uploads)
    (uploads / "link").unlink()
    assert asked(guard, "/gradio_api/upload", "POST", content_length="6").status == 200
    assert asked(guard, "/gradio_api/upload", "POST", content_length="7").status == 507


def test_a_token_opens_all_names_and_nothing_does_without(uploads: Path) -> None:
    guard = guard_of(uploads, OPEN)
    for heads in (
        {},
        {"authorization": "Bearer wrong"},
        {"cookie": f"{access.COOKIE}=x"},
        {"cookie": "\x01;="},
    ):
        answer = asked(guard, "/config", host="studio.example:7860", **heads)
        assert (answer.status, answer.read) == (401, None)
    assert b"<form" in asked(guard, "/", host="studio.example", accept="text/html").body
    assert asked(guard, "/config", authorization=f"Bearer {TOKEN}").status == 200


def test_the_token_is_typed_once_and_stands_in_no_cookie(uploads: Path) -> None:
    guard = guard_of(uploads, OPEN)
    wrong = asked(guard, "/login", "POST", urlencode({"token": TOKEN + "x"}).encode())
    assert (wrong.status, wrong.read) == (401, None)
    assert b"not the token" in wrong.body
    right = asked(guard, "/login", "POST", urlencode({"token": TOKEN}).encode())
    cookie = right.headers["set-cookie"]
    assert right.status == 303
    assert "HttpOnly; SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert asked(guard, "/", cookie=cookie.partition(";")[0]).status == 200
    assert asked(guard_of(uploads, OPEN), "/", cookie=cookie.partition(";")[0]).status == 401


def test_a_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: seen.append((a, b)) or False)
    assert not OPEN.knows("é")
    assert seen == [("é".encode(), TOKEN.encode())]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Access("0.0.0.0"), "give a --token"),
        (Access("example.org"), "give a --token"),
        (Access("::"), "give a --token"),
        (Access("0.0.0.0", token="short"), "at least 12 letters"),
        (Access(token=""), "at least 12 letters"),
        (Access(token="a\nb" * 9), "can be typed"),
        (Access(port=70000), "--port"),
        (Access(port=-1), "--port"),
    ],
)
def test_addresses_that_are_not_listened_at(given: Access, said: str) -> None:
    with pytest.raises(UserError, match=said):
        given.check()


def test_addresses_that_are(uploads: Path) -> None:
    for given in (LOCAL, OPEN, Access("localhost"), Access("::1"), Access("127.0.0.2", token=TOKEN)):
        given.check()


def test_web_sockets_are_closed(uploads: Path) -> None:
    assert asked(guard_of(uploads), "/", scheme="websocket").read is None


BUSY = """
import sys, tempfile, threading, time, types
from vidgan.studio.app import end_with
folder = tempfile.TemporaryDirectory()
print(folder.name, flush=True)
threading.Thread(target=time.sleep, args=(100,)).start()  # clips that are being made
server = types.SimpleNamespace(should_exit=False)
threading.Thread(target=end_with, args=(server, [folder], 0.1), daemon=True).start()
server.should_exit = sys.argv[1] == "told"
time.sleep(0.5)
print("still there", flush=True)
if sys.argv[1] != "told":
    server.should_exit = True
"""


@pytest.mark.slow
@pytest.mark.parametrize(("told", "said"), [("told", []), ("not yet", ["still there"])])
def test_the_studio_ends_though_something_is_being_made(told: str, said: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY, told], capture_output=True, text=True, timeout=60, check=True
    )
    folder, *others = done.stdout.splitlines()
    assert others == said
    assert not Path(folder).exists()
