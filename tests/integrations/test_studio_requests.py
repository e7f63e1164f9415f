"""The studio without a browser: what mutated requests and uploads get, what a token opens, and two users at once."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_client import User, studio

import runs
from commands import snapshot
from vidgan.presets import preset
from vidgan.run.tiny import tiny

pytest.importorskip("gradio", reason="gradio is not installed (extra: studio)")

SECRET = "do not tell this"
TOKEN = "a long sentence of theirs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in the studio's folder, and a secret beside it."""
    place = tmp_path_factory.mktemp("requests")
    (place / "outside").mkdir()
    (place / "outside" / "secret.mp4").write_text(SECRET)
    demo = runs.untrained(place / "in" / "runs" / "demo", tiny(preset("demo")), runs.CLASSES)
    runs.write_log(demo, [runs.tick(step, {"loss/generator": 1.0}) for step in (25, 50)])
    (place / "in" / "runs" / "link").symlink_to(place / "outside")
    return place


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with studio(folder / "in") as found:
        yield found


VALUES: tuple[Any, ...] = (
    "../../outside",
    "runs/link",
    "/etc/passwd",
    "--help",
    "demo --out=/tmp/x",
    {"path": "{secret}", "meta": {"_type": "gradio.FileData"}},
    {
        "path": "http://127.0.0.1:1/x.mp4",
        "url": "http://127.0.0.1:1/x.mp4",
        "meta": {"_type": "gradio.FileData"},
    },
    ["{secret}"],
    -1,
    1e300,
    {"a": [{}]},
    "x" * 10_000,
    "<img src=x onerror=alert(1)>",
)
TARGETS = (
    ("/show", (0, 2, 3, 4, 5, 6, 12)),
    ("train/curves_of", (0, 1)),
    ("train/latents", (0,)),
    ("train/ending", (0,)),
    ("data/show", (0, 1, 2)),
    ("data/faults", (0, 1, 2, 3)),
    ("evaluate/show", (0, 1)),
    ("evaluate/measure", (0, 1, 2, 3, 4, 5)),
)
"""functions of pages, and their inputs that not just anything fits"""


def shown(function: dict[str, Any]) -> list[Any]:
    """What a function of a page is given when that has been opened."""
    values = [part["props"].get("value") for part in function["parts"]]
    if len(values) > 6:
        values[6] = tiny(preset("demo")).levels[-1].frames  # which a page takes from the model
    return values


def test_fifty_mutated_calls_are_refused_with_a_message(address: str, folder: Path) -> None:
    before, user, rng = snapshot(folder), User(address), random.Random(0)
    functions = user.functions()
    secret = str(folder / "outside" / "secret.mp4")
    told = []
    for _ in range(50):
        name, places = rng.choice(TARGETS)
        function = functions[name]
        values = shown(function)
        place, odd = rng.choice(places), rng.choice(VALUES)
        values[place] = json.loads(json.dumps(odd).replace("{secret}", secret))
        answer = user.call(function, values)
        assert answer.refused, (name, place, odd, answer)
        assert SECRET not in answer.body
        assert "Traceback" not in answer.body
        if answer.status == 200 and '"success":true' in answer.body.replace(
            " ", ""
        ):  # what is put into the page
            assert "<img src=x" not in answer.body
        told.append(answer)
    assert len(told) == 50
    assert snapshot(folder) == before


def of_files(*names: str, content: bytes = b"content") -> tuple[bytes, str]:
    """A form with files, and its type."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name in names
    ]
    return b"".join([*parts, b"--x--\r\n"]), "multipart/form-data; boundary=x"


def test_odd_uploads_are_refused_and_none_lands_outside(address: str, folder: Path) -> None:
    before, user = snapshot(folder), User(address)
    for names in (["a.exe"], ["a.mp4", "b.py"], ["../../a.sh"], ["a"], ["a.html"], ["a.svg"], ["a.pkl"]):
        body, kind = of_files(*names)
        answer = user.ask("/gradio_api/upload", "POST", body, Content_Type=kind)
        assert (answer.status, "is no video or image" in answer.body) == (415, True), names
    answer = user.ask("/gradio_api/upload", "POST", b"", Content_Length=str(2**30))
    assert (answer.status, "too large" in answer.body) == (413, True)
    for body, kind in (
        (b"x", "multipart/form-data; boundary=x"),
        (b"x", "text/plain"),
        (of_files("a.mp4")[0], "x/y"),
    ):
        answer = user.ask("/gradio_api/upload", "POST", body, Content_Type=kind)
        assert answer.status >= 400
    # A name that leads out is a name: the file lies where all do.
    body, kind = of_files("../../../../outside/a.mp4")
    answer = user.ask("/gradio_api/upload", "POST", body, Content_Type=kind)
    assert answer.status == 200
    (stored,) = json.loads(answer.body)
    assert Path(stored).resolve().parents[1].name.startswith("vidgan-studio-uploads-")
    assert snapshot(folder) == before


def test_a_video_that_is_none_is_one_line(address: str, folder: Path) -> None:
    user = User(address)
    body, kind = of_files("a.mp4")
    (stored,) = json.loads(user.ask("/gradio_api/upload", "POST", body, Content_Type=kind).body)
    function = user.functions()["/show"]
    values = shown(function)
    values[-1] = {"path": stored, "meta": {"_type": "gradio.FileData"}}
    assert "Traceback" not in user.call(function, values).body


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/gradio_api/queue/join", "POST", b"{"),
        ("/gradio_api/queue/join", "POST", b"[]"),
        ("/gradio_api/queue/join", "POST", b'{"data": [], "fn_index": 999, "session_hash": "a"}'),
        ("/gradio_api/queue/join", "POST", b'{"data": "x", "fn_index": 0, "session_hash": "a"}'),
        ("/gradio_api/queue/join", "POST", b'{"data": [], "fn_index": -1, "session_hash": {}}'),
        ("/gradio_api/queue/join", "POST", b"[" * 100_000),
        ("/gradio_api/queue/join", "POST", b"\xff\xfe"),
        ("/gradio_api/run/predict", "POST", b"{}"),
        ("/gradio_api/component_server", "POST", b"{}"),
        ("/gradio_api/vibe-edit/", "POST", b"{}"),
        ("/gradio_api/file=/etc/passwd", "GET", None),
        ("/gradio_api/file=..%2f..%2foutside%2fsecret.mp4", "GET", None),
        ("/gradio_api/proxy=http://127.0.0.1:1/", "GET", None),
        ("/assets/..%2f..%2f..%2fetc%2fpasswd", "GET", None),
        ("/static/%2e%2e/%2e%2e/etc/passwd", "GET", None),
        ("/train/../../etc/passwd", "GET", None),
        ("/docs", "GET", None),
        ("/openapi.json", "GET", None),
    ],
)
def test_odd_requests_are_refused(address: str, path: str, method: str, body: bytes | None) -> None:
    answer = User(address).ask(path, method, body, Content_Type="application/json")
    assert answer.status >= 400, answer
    assert "root:" not in answer.body
    assert User(address).ask("/").status == 200


def test_other_names_and_pages_are_refused(address: str) -> None:
    user = User(address)
    assert user.ask("/", Host="evil.example").status == 403
    assert user.ask("/config", Origin="http://evil.example").status == 403


def test_two_users_at_once(address: str) -> None:
    """While one waits for clips that take long, another leafs through data; and both get what they asked for."""
    first, second = User(address), User(address)
    functions = first.functions()
    values = shown(functions["/show"])
    longer = list(values)
    longer[3], longer[5] = 7, 32  # seed and clips
    found: dict[str, Any] = {}

    def ask(name: str, user: User, function: str, values: list[Any]) -> None:
        found[name] = (user.call(functions[function], values), time.monotonic())

    leaf = shown(functions["data/show"])
    threads = [
        threading.Thread(target=ask, args=("first", first, "/show", longer)),
        threading.Thread(target=ask, args=("second", second, "/show", values)),
        threading.Thread(target=ask, args=("third", second.__class__(address), "data/show", leaf)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found["first"][0].body.count("<img") == 32
    assert found["second"][0].body.count("<img") == 8
    assert found["third"][0].body.count("<img") == 12


def test_a_token_is_asked_for_and_not_told(folder: Path) -> None:
    with studio(folder / "in", "--host", "127.0.0.2", "--token", TOKEN) as address:
        user = User(address)
        assert TOKEN not in address
        for path in ("/", "/config", "/train", "/gradio_api/upload"):
            answer = user.ask(path)
            assert answer.status == 401
            assert "gradio" not in answer.body.lower()
        assert user.ask("/", Authorization=f"Bearer {TOKEN}").status == 200
        assert TOKEN not in user.ask("/config", Authorization=f"Bearer {TOKEN}").body


def test_without_a_token_others_are_not_let_in(folder: Path) -> None:
    command = [sys.executable, "-m", "vidgan", "studio", "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, cwd=folder / "in", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give a --token" in done.stderr
