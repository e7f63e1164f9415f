"""``vidgan evaluate --train-classifier``: deterministic, honest about held-out clips, on record with every number."""

from pathlib import Path

import numpy as np
import pytest
import torch

from commands import require_one_line, vidgan
from vidgan.data.synthetic import BUILT_IN, SyntheticDataset, SyntheticSpec
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation import frechet_distance
from vidgan.evaluation.classifier import (
    ClassifierSpec,
    InDomainClassifier,
    load_in_domain,
    save_in_domain,
    split,
    train_classifier,
)
from vidgan.run.logs import read_lines
from vidgan.sample.video_io import write_clip

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")
DATA = SyntheticDataset(SyntheticSpec(motions=("right", "grow"), size=16, frames=6, clips=60))
TINY = ClassifierSpec(window=WindowSpec(size=16, frames=6), steps=3, batch=4)


def folder(path: Path, shuffled: bool = False) -> Path:
    for index in range(16):
        label = DATA.info(index).label
        home = path / DATA.classes[(label + 1) % 4 if shuffled else label]
        home.mkdir(parents=True, exist_ok=True)
        write_clip(home / f"{index:02d}.npy", DATA.read(index, 0, 6), 8.0)
    return path


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again = train_classifier(DATA, TINY, CPU), train_classifier(DATA, TINY, CPU)
    other = train_classifier(DATA, TINY.replace(seed=1), CPU)
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
    assert not torch.equal(first.network.head.weight, other.network.head.weight)


def test_held_out_clips_are_the_last_of_each_class() -> None:
    parts = split(DATA, 0.2)
    assert set(parts.train) | set(parts.held_out) == set(range(60))
    assert not set(parts.train) & set(parts.held_out)
    assert sorted(parts.held_out) == list(range(48, 60))  # classes take turns: three of fifteen each


@pytest.mark.slow
def test_it_learns_and_says_how_well() -> None:
    data = SyntheticDataset(
        SyntheticSpec(shapes=("disc",), motions=("right", "down"), size=16, frames=6, clips=400)
    )
    trained = train_classifier(data, TINY.replace(steps=100, batch=16), CPU)
    assert trained.facts["held_out_accuracy"] > 0.85  # guessing: 0.5
    assert trained.facts["held_out_clips"] == 80
    assert trained.facts["trained_on_clips"] == 320
    assert trained.facts["data"] == data.fingerprint


def test_accuracy_is_that_of_the_network() -> None:
    """The recorded accuracy again, clip by clip."""
    trained = train_classifier(DATA, TINY, CPU)
    right = []
    for index in split(DATA, 0.2).held_out:
        clip = torch.from_numpy(DATA.read(index, 0, 6)).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
        right.append(int(trained.network(clip).logits.argmax()) == DATA.info(index).label)
    assert trained.facts["held_out_accuracy"] == np.mean(right)


@pytest.mark.slow
def test_numbers_made_with_it(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "in_domain.safetensors"
    trained = train_classifier(DATA, TINY.replace(steps=40, batch=8), CPU)
    save_in_domain(out, trained.network, DATA.classes, trained.facts)
    fake, real = folder(tmp_path / "fake", shuffled=True), folder(tmp_path / "real")
    results = tmp_path / "results.jsonl"
    command = ("evaluate", fake, "--real", real, "--weights", out, "--out", results)
    answer = vidgan(capsys, *command, "--protocol", "frechet-in-domain", "accuracy-in-domain")
    assert answer.status == 0, answer.err
    distance, accuracy = read_lines(results)
    for line in (distance, accuracy):
        assert line["network"]["held_out_accuracy"] == trained.facts["held_out_accuracy"]
        assert line["network"]["classifier"]["data"] == DATA.fingerprint
        assert "fvd" not in str(line["protocol"])
    assert f"held-out clips: {trained.facts['held_out_accuracy']:.4f}" in answer.out
    # The same videos under other names: the distance knows no classes, the accuracy does.
    assert abs(distance["value"]) < 1e-6
    in_domain = load_in_domain(out)
    videos = torch.stack([torch.from_numpy(DATA.read(i, 0, 6)).permute(0, 3, 1, 2) for i in range(16)])
    seen = in_domain.network(videos.float() / 127.5 - 1).logits.argmax(1).tolist()
    asked = [(DATA.info(i).label + 1) % 4 for i in range(16)]
    assert accuracy["value"] == np.mean([a == b for a, b in zip(seen, asked, strict=True)])
    features = in_domain.network(videos.float() / 127.5 - 1).features.numpy()
    half = tmp_path / "half.npy"
    np.save(half, np.stack([DATA.read(i, 0, 6) for i in range(8)]))
    answer = vidgan(capsys, "evaluate", half, *command[2:], "--protocol", "frechet-in-domain")
    assert answer.status == 0, answer.err
    expected = frechet_distance(features[:8], features)
    assert read_lines(results)[-1]["value"] == pytest.approx(expected, rel=1e-3)


def test_the_command(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "in_domain.safetensors"
    command = (
        "evaluate",
        "synthetic",
        "--train-classifier",
        out,
        "--frames",
        4,
        "--size",
        16,
        "--steps",
        2,
        "--batch",
        2,
    )
    # A few of the built-in clips are enough here.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BUILT_IN, "synthetic", SyntheticSpec(clips=32))
        answer = vidgan(capsys, *command)
    assert answer.status == 0, answer.err
    in_domain = load_in_domain(out)
    assert f"{in_domain.facts['held_out_accuracy']:.3f}" in answer.out
    assert in_domain.classes == SyntheticDataset(SyntheticSpec()).classes


def test_bad_input(tmp_path: Path, capsys: Capture) -> None:
    def refused(*args: object, words: tuple[str, ...]) -> None:
        require_one_line(vidgan(capsys, *args), *words)

    refused("evaluate", "synthetic", "--train-classifier", tmp_path / "a.pt", words=("safetensors",))
    refused(
        "evaluate",
        "synthetic",
        "--train-classifier",
        tmp_path / "no" / "a.safetensors",
        words=("not a folder",),
    )
    refused("evaluate", tmp_path / "none", "--train-classifier", tmp_path / "a.safetensors", words=("none",))
    with pytest.raises(UserError, match="two classes"):
        split(SyntheticDataset(SyntheticSpec(shapes=("disc",), motions=("grow",))), 0.2)
    with pytest.raises(UserError, match="square-grow"):
        split(SyntheticDataset(SyntheticSpec(motions=("right", "grow"), clips=7)), 0.2)
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"nothing")
    for file in (foreign, tmp_path / "none.safetensors"):
        with pytest.raises(UserError, match=file.name):
            load_in_domain(file)


def test_classes_that_it_does_not_know(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "in_domain.safetensors"
    save_in_domain(out, InDomainClassifier(2), ("walk", "run"), {"held_out_accuracy": 0.5})
    fake = folder(tmp_path / "fake")
    answer = vidgan(capsys, "evaluate", fake, "--weights", out, "--protocol", "accuracy-in-domain")
    require_one_line(answer, "does not know", "disc-right")
