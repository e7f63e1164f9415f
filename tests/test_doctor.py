"""``vidgan doctor`` tells what there is and what to do, and its advice follows from what it found."""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from commands import vidgan
from vidgan.cli import doctor


def test_it_tells_every_fact_within_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PROBE", 2**20)
    answer = vidgan(capsys, "doctor", tmp_path)
    assert (answer.status, answer.err) == (0, "")
    facts = re.findall(r"^[-!] (.{14})\S", answer.out, flags=re.M)
    named = [fact.strip() for fact in facts]
    first = ["vidgan", "Python", "packages", "extras", "processor", "GPU"]
    last = ["FFmpeg", "shared memory", "disk space", "disk speed"]
    assert named[:6] == first
    assert named[-4:] == last
    assert "nothing to do" in answer.out or "to do:" in answer.out
    assert list(tmp_path.iterdir()) == []
    assert max(map(len, answer.out.splitlines())) <= 80


def test_a_folder_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answer = vidgan(capsys, "doctor", tmp_path / "none")
    assert answer.status == 0
    assert "! disk" in answer.out
    assert "name one that is there" in answer.out


def test_advice_follows_from_what_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(total=2**26, free=1e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(doctor, "seconds_to_write", lambda folder: 10.0)
    space, speed = doctor.disk(tmp_path)
    assert space.advice is not None
    assert speed.found == "6.71 MB/s written"  # 64 MiB in ten seconds
    assert speed.advice is not None
    small = doctor.shared_memory(tmp_path)
    assert small.advice is not None
    assert "--shm-size" in small.advice
    usage.total, usage.free = 2**33, 1e12
    monkeypatch.setattr(doctor, "seconds_to_write", lambda folder: 0.1)
    assert [finding.advice for finding in doctor.disk(tmp_path)] == [None, None]
    assert doctor.shared_memory(tmp_path).advice is None
    monkeypatch.setattr(doctor.torch, "get_num_threads", lambda: 1000)
    (found,) = doctor.processors()
    assert found.advice is not None
    assert "OMP_NUM_THREADS" in found.advice


def test_it_knows_every_extra_that_a_user_may_install() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"dev", "docs"}
    for extra, package in doctor.EXTRAS.items():
        assert any(re.split(r"[><=]", need)[0] == package.replace("_", "-") for need in extras[extra]), extra
