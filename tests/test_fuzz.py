"""Damaged input, by the hundred: each is read, or refused by one line. ``tests/fuzz.py`` tries whole commands, by the
thousand."""

import random
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzz
from commands import vidgan
from runs import full_run
from vidgan.cli import VERBS
from vidgan.data.inspect import problems
from vidgan.data.open import open_dataset
from vidgan.data.raw_videos import open_videos
from vidgan.data.store import open_prepared
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.classifier import InDomainClassifier, load_in_domain, save_in_domain
from vidgan.presets import preset
from vidgan.report.page import write_report
from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import checkpoint_path, cut_logs, latest, save
from vidgan.run.directory import RunDirectory
from vidgan.tensor_file import State

CASES = 100
"""of each kind"""
SECONDS = 20


@contextmanager
def noting(said: list[str]) -> Iterator[None]:
    """What is refused is added to ``said``."""
    try:
        yield
    except UserError as error:
        said.append(str(error))


def make_run(folder: Path) -> None:

    run = full_run(folder / "run")
    for step in (1, 2):
        save(
            checkpoint_path(run.checkpoints, 1, step), State({"x": torch.ones(3)}, {"level": 1, "step": step})
        )
    save_in_domain(folder / "c.safetensors", InDomainClassifier(2), ("a", "b"), {"held_out_accuracy": 0.5})


def read_run(folder: Path, said: list[str]) -> None:
    with noting(said):
        load_in_domain(folder / "c.safetensors")
    run = RunDirectory.open(folder / "run")
    with noting(said):
        latest(run.checkpoints, 1)
    with noting(said):
        best_of_run(run)
        cut_logs(run)
    write_report(folder / "run", out=folder / "report.html")


def make_store(folder: Path) -> None:
    fuzz.make_videos(folder)
    from vidgan.data.prepare import prepare

    prepare(folder / "videos", folder / "data", size=16, workers=0, codec="jpeg")


def read_store(folder: Path, said: list[str]) -> None:
    data = open_prepared(folder / "data")
    list(problems(data, WindowSpec(size=16, frames=2), checksums=True))
    for index in range(len(data)):
        with noting(said):
            data.read(index, 0, 2, 2)


def read_videos(folder: Path, said: list[str]) -> None:
    videos = open_videos(folder / "videos", 16)
    for index in range(len(videos)):
        with noting(said):
            videos.read(index, 0, videos.info(index).frames)


def read_arrays(folder: Path, said: list[str]) -> None:
    array = open_videos(folder / "clips.npy")
    np.asarray(array.read(0, 0, 1))


def read_experiment(folder: Path, said: list[str]) -> None:
    for name in ("demo", "demo-cascade"):
        with noting(said):
            preset(str(folder / f"{name}.json"))


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path, list[str]], None]]] = {
    "run": (make_run, read_run),
    "store": (make_store, read_store),
    "videos": (fuzz.make_videos, read_videos),
    "arrays": (fuzz.make_arrays, read_arrays),
    "experiment": (fuzz.make_experiment, read_experiment),
}


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Bounded time and memory."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    memory = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (own + fuzz.MEMORY, memory[1]))
    signal.alarm(seconds)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_input_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    (tmp_path / "whole").mkdir()
    make(tmp_path / "whole")
    said: list[str] = []
    read(tmp_path / "whole", said)
    assert said == []
    for number in range(CASES):
        rng, target = random.Random(f"{kind} {number}"), tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", target)
        done = fuzz.damage(target, rng)
        try:
            with limit(SECONDS), noting(said):
                read(target, said)
        except Exception as error:
            raise AssertionError(f"case {number}: {done}") from error
        shutil.rmtree(target)
    assert [text for text in said if "\n" in text] == []
    assert said


WORDS = st.sampled_from(fuzz.VALUES).filter(lambda word: "\x00" not in word)
OPTIONS = st.sampled_from(
    [f"--{name}" for name in ("clips", "out", "data", "seed", "size", "frames", "unknown", *VERBS)]
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(verb=st.sampled_from(sorted(VERBS)), rest=st.lists(st.one_of(WORDS, OPTIONS), max_size=4))
def test_odd_words_after_a_verb(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory, verb: str, rest: list[str]
) -> None:
    # Without what a verb needs, whatever else is said: nothing is trained or made.
    if verb == "demo":
        rest = [*rest, "--minutes", "0"]
    with pytest.MonkeyPatch.context() as patch, limit(60):
        patch.chdir(tmp_path_factory.mktemp("here"))
        answer = vidgan(capsys, verb, *rest)
    assert answer.status in (0, 2), answer
    if answer.status == 2:
        told = [line for line in answer.err.splitlines() if line.startswith("vidgan: error: ")]
        assert len(told) == 1, answer.err


def test_open_dataset_of_odd_words() -> None:
    for word in fuzz.VALUES:
        with pytest.raises((UserError, OSError, ValueError)) as caught:
            open_dataset(word)
        assert isinstance(caught.value, UserError) or "\x00" in word or len(word) > 1000
