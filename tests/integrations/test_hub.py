"""Models go to the Hub and come back bit for bit; what was changed there is refused.

The client is run in processes of its own, as it reads ``HF_ENDPOINT`` when it is imported.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, serving

import runs
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.hub import fetch, names_in

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (extra: hub)")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PUSH = """
import sys, torch, vidgan
run, saved, out = sys.argv[1:]
model = vidgan.load(run, device="cpu")
torch.save(model.sample(2, seed=1), out)
model.save(saved)
vidgan.load(saved, device="cpu").push_to_hub("me/model", licence="cc-by-4.0", token="hf_token")
print(model.push_to_hub("me/model"))
"""
LOAD = """
import sys, torch, vidgan
place, saved, out = sys.argv[1:]
made = torch.load(out, weights_only=True)
for path in (saved, "hf:me/model", place):
    assert torch.equal(vidgan.load(path, device="cpu").sample(2, seed=1), made), path
"""
READ = """
import sys
from huggingface_hub import ModelCard
data = ModelCard.load(sys.argv[1]).data
print(data.license, data.pipeline_tag, data.model_name)
for result in data.eval_results:
    print(result.dataset_name, result.dataset_split)
"""
REFUSED = """
from vidgan.errors import UserError
from vidgan.sample.hub import fetch, push

def save(folder, place):
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(bytes(99))

def tell(try_it, *args):
    try:
        try_it(*args)
    except UserError as error:
        print(error)

for name in ("empty", "status-500", "status-401", "garbage"):
    tell(fetch, f"hf:me/{name}")
for name in ("status-500", "status-401", "garbage", "xet"):
    tell(push, save, f"me/{name}")
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as server:
        yield server


def client(hub: Hub, home: Path, *args: object, xet: bool = False) -> "subprocess.CompletedProcess[str]":
    """A process whose Hub is ``hub``."""
    own = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": str(int(not xet)),  # which is another interface, of another server
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, *map(str, args)]
    return subprocess.run(
        command, env=os.environ | own, capture_output=True, text=True, check=False, timeout=280
    )


def test_push_and_load(hub: Hub, tmp_path: Path) -> None:
    run = runs.untrained(tmp_path / "run", tiny(preset("demo")), ("disc-right", "square-left"))
    result = {"protocol": "oracle-accuracy", "value": 0.5, "step": 1, "clips": 512, "seed": 3, "settings": {}}
    run.metrics.append(result)
    run.metrics.append(result | {"value": 0.125, "step": 7})
    saved, out = tmp_path / "saved", tmp_path / "video.pt"
    done = client(hub, tmp_path / "one", "-c", PUSH, run.path, saved, out)
    assert done.returncode == 0, done.stderr
    place = done.stdout.split()[-1]
    commit, files = hub.files("me/model")
    assert place == f"hf:me/model@{commit}"
    assert "Bearer hf_token" in hub.tokens
    own = {
        path.relative_to(saved).as_posix(): path.read_bytes() for path in saved.rglob("*") if path.is_file()
    }
    assert set(files) == {".gitattributes", *own}
    # What safetensors say of themselves stands in any order, so those are compared by what they make, below.
    changed_there = [n for n in sorted(own) if not n.endswith(".safetensors") and files[n] != own[n]]
    assert changed_there == ["README.md", "SHA256SUMS"], (
        "of which the one says where it is, the other its hash"
    )
    card = files["README.md"].decode()
    assert 'vidgan.load("hf:me/model")' in card
    assert "| oracle-accuracy | 0.5 |  | 512 | 3 |" in card
    assert "0.125" not in card, "a figure of another step"
    assert "`synthetic`, 1,234 clips" in card
    assert 'license: "cc-by-4.0"' in hub.repos["me/model"][1][1]["README.md"].decode()
    assert str(tmp_path) not in card
    # By the command, and the Hub's own reader of cards.
    words = ("--hub", "me/other", "--licence", "mit", "--data-source", "drawn", "--data-licence", "CC0")
    done = client(hub, tmp_path / "one", "-m", "vidgan", "save", saved, *words)
    assert done.returncode == 0, done.stderr
    commit, theirs = hub.files("me/other")
    assert done.stdout == f"uploaded hf:me/other@{commit}\n"
    assert "- source of the data: drawn\n" in theirs["README.md"].decode()
    done = client(hub, tmp_path / "one", "-c", READ, ROOT / "zoo/driving-8-after-4/README.md")
    assert done.stdout.split() == [
        "apache-2.0",
        "video-to-video",
        "driving-conv-gru",
        *2 * ["all-test", "test"],
    ]
    # From nothing but the server.
    done = client(hub, tmp_path / "two", "-c", LOAD, place, saved, out)
    assert done.returncode == 0, done.stderr
    sample = ("-m", "vidgan", "sample", "hf:me/model", "--clips", 1, "--out")
    done = client(hub, tmp_path / "two", *sample, tmp_path / "clips")
    assert done.returncode == 0, done.stderr

    # Whatever is changed there is found: a bit of the weights, a file more, a file less, another name.
    def changed(name: str, content: bytes | None) -> str:
        others = {key: value for key, value in files.items() if key != name}
        hub.commit("me/model", others if content is None else others | {name: content})
        tried = client(hub, tmp_path / "two", *sample, tmp_path / "bad")
        assert tried.returncode == 2, tried.stderr
        (line,) = tried.stderr.strip().splitlines()
        assert f"hf:me/model@{hub.files('me/model')[0]}" in line, "and not a folder of the cache alone"
        assert not (tmp_path / "bad").exists()
        return line

    weights = bytearray(files["weights.safetensors"])
    weights[-1] ^= 1
    assert "weights.safetensors is not as it was written" in changed("weights.safetensors", bytes(weights))
    record = files["model.json"].replace(b'"step": 1', b'"step": 2')
    assert "model.json is not as it was written" in changed("model.json", record)
    assert "is damaged: there is no weights.safetensors" in changed("weights.safetensors", None)
    strange = files["SHA256SUMS"] + b"0" * 64 + b"  ../../evil.py\n"
    asked = len(hub.asked)
    assert "no saved model has: '../../evil.py'" in changed("SHA256SUMS", strange)
    assert not any("evil" in each for each in hub.asked[asked:])

    # Without a server, what was fetched is there, and of the rest one line says where nobody answered.
    load = "import sys, vidgan; [vidgan.load(place, device='cpu') for place in sys.argv[1:]]"
    hub.commit("me/model", files)
    done = client(hub, tmp_path / "two", "-c", load, "hf:me/model")
    assert done.returncode == 0, done.stderr
    hub.shutdown()
    hub.server_close()
    done = client(hub, tmp_path / "two", "-c", load, "hf:me/model", place)
    assert (done.returncode, done.stderr) == (0, "")
    done = client(hub, tmp_path / "three", *sample, tmp_path / "bad")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"vidgan: error: hf:me/model cannot be fetched: {hub.address}: ")


def test_what_is_not_there_is_one_line(hub: Hub, tmp_path: Path) -> None:
    for place in ("hf:me/none", "hf:me/none@v2"):
        done = client(hub, tmp_path, "-m", "vidgan", "sample", place, "--out", tmp_path / "a")
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith(f"vidgan: error: {place} cannot be fetched")


def test_what_a_server_refuses_is_a_line_that_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    hub.repos["me/empty"] = []
    commit = hub.commit("me/empty", {".gitattributes": b""})
    done = client(hub, tmp_path, "-c", REFUSED, xet=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for line, words in zip(
        lines,
        (
            f"hf:me/empty@{commit} holds no saved model: there is no SHA256SUMS",
            f"hf:me/status-500 cannot be fetched: {hub.address}: .*500",
            f"hf:me/status-401 cannot be fetched: {hub.address}: .*401.*log in: hf auth login",
            f"hf:me/garbage cannot be fetched: {hub.address}: it does not answer as the Hub does",
            f"hf:me/status-500 cannot be written: {hub.address}: .*500",
            f"hf:me/status-401 cannot be written: {hub.address}: .*401.*log in: hf auth login",
            f"hf:me/garbage cannot be written: {hub.address}: it does not answer as the Hub does",
            f"hf:me/xet cannot be written: {hub.address}: .*set HF_HUB_DISABLE_XET=1",
        ),
        strict=True,
    ):
        assert re.match(words, line), line


@pytest.mark.parametrize("place", ["hf:", "hf:none", "hf:a/b/c", "hf:a/b@", "hf:../b c"])
def test_places_have_a_form(place: str) -> None:
    with pytest.raises(UserError, match="no place on the Hub"):
        fetch(place)


def test_a_model_names_its_own_files_alone(tmp_path: Path) -> None:
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  model.json\n{'0' * 64}  statistics/level1-ab.safetensors\n")
    assert names_in(sums, "hf:a/b") == ["model.json", "statistics/level1-ab.safetensors"]
    for name in ("/etc/passwd", "statistics/../x", "statistics/a/b", "setup.py", "*"):
        sums.write_text(f"{'0' * 64}  {name}\n")
        with pytest.raises(UserError, match="no saved model has"):
            names_in(sums, "hf:a/b")
