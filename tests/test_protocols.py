"""Protocols are complete data: they survive JSON, name everything, and give the numbers of their definitions."""

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import formulas
import vidgan.evaluation.protocols as package
from commands import vidgan
from vidgan.errors import UserError
from vidgan.evaluation import C3D, I3D, R2Plus1D, frechet_distance, inception_score
from vidgan.evaluation.features.c3d import tgan_input, tganv2_input
from vidgan.evaluation.features.network import FeatureNetwork, FrozenBatchNorm, Outputs
from vidgan.evaluation.features.r2plus1d import r2plus1d_input
from vidgan.evaluation.features.resize import bilinear_half_pixel, bilinear_legacy
from vidgan.evaluation.features.weights import Weights
from vidgan.evaluation.measure import over_runs
from vidgan.evaluation.metrics.frames import best_of, ssim
from vidgan.evaluation.protocols import ALL, Protocol, protocol
from vidgan.evaluation.protocols.base import EvaluationBatch, Resources, Score, Table
from vidgan.evaluation.protocols.networks import I3DFeatures
from vidgan.run.logs import read_lines
from vidgan.spec import SpecError, from_json, to_json

Capture = pytest.CaptureFixture[str]
Videos = np.ndarray[Any, np.dtype[np.uint8]]

ASKED_FOR = (
    *("fvd-reference", "fvd-stylegan-v-2048-16f", "fid-k600-avgpool", "is-k600", "is-k400", "is-ucf101-tgan"),
    *("is-ucf101-tganv2", "fid-r2plus1d", "is-r2plus1d", "ssim-best-of-100", "psd", "frechet-random"),
    *("fvd-stylegan-v-2048-128f", "fvd-stylegan-v-2048-128f-subsample8f", "fvd-tats-2048-16f"),
    *("kvd-tats-2048-16f", "kid-k600-avgpool", "prdc-k400-avgpool"),
    *("frechet-random-i3d", "frechet-in-domain", "accuracy-in-domain", "oracle-accuracy", "oracle-variety"),
    "pixel-statistics",
)


def test_all_protocols_are_there() -> None:
    assert set(ASKED_FOR) <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_protocol_survives_json(name: str) -> None:
    text = json.dumps(to_json(protocol(name)))
    assert from_json(Protocol, json.loads(text)) == protocol(name)


def test_no_two_protocols_are_the_same() -> None:
    texts = [json.dumps(to_json(named.protocol)) for named in ALL.values()]
    assert len(set(texts)) == len(texts)


@pytest.mark.slow
def test_every_setting_is_documented() -> None:
    """A field without a word about it cannot be evaluated by a reader."""
    seen = 0
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                for field, after in zip(node.body, [*node.body[1:], None], strict=True):
                    if isinstance(field, ast.AnnAssign):
                        seen += 1
                        if node.name == "Named":  # names protocols, is none
                            continue
                        words = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                        assert words, f"{path.name}: {node.name}.{ast.unparse(field.target)}"
    assert seen > 30


def test_a_protocol_names_weights_in_words_or_needs_none() -> None:
    for named in ALL.values():
        free = named.protocol.features.weights_of is None
        assert free == ("eeds weights" not in named.about and "train-classifier" not in named.about), (
            named.about
        )


def test_protocols_that_need_no_weights_say_so_in_their_names() -> None:
    """No substitute ever has the name of a protocol with trained weights."""
    for name, named in ALL.items():
        if name.startswith(("fvd", "kvd", "fid", "kid", "prdc", "is-")):
            assert named.protocol.features.weights_of is not None
    random = ["frechet-random-by-class", "frechet-random", "frechet-random-i3d"]
    assert [name for name in ALL if "random" in name] == random


@pytest.mark.parametrize("name", ["is-k600", "is-k400", "psd"])
def test_parts_are_mixed_however_the_files_are_named(name: str) -> None:
    """Clips in order of their classes are dealt into parts as StyleGAN-V's code deals them."""
    order = np.random.RandomState(42).permutation(60)
    labels = np.repeat(np.arange(10), 6)
    metric = protocol(name).metric
    if name == "psd":
        spectra = np.repeat((1.0 + labels)[:, None, None], 4, 2)
        table = Table({"spectra": spectra}, labels, ("all",) * 10)
        groups = [spectra[order[part : part + 20]].mean(0) for part in (0, 20, 40)]
        found = metric.against(table)(table).values["fake_deviation"]
        np.testing.assert_allclose(found, np.std(groups, axis=0))
        return
    table = Table({"logits": 50.0 * np.eye(10)[labels]}, labels, ("all",) * 10)
    scores = []
    for part in range(10):
        shares = np.bincount(labels[order[6 * part : 6 * part + 6]]) / 6
        scores.append(np.exp(-sum(p * np.log(p) for p in shares if p)))
    assert np.mean(scores) > 4  # where parts of one class have 1
    assert metric.against(None)(table).value == pytest.approx(np.mean(scores))


def test_impossible_values_are_refused() -> None:
    chosen = protocol("frechet-random")
    for changes in ({"clips": 0}, {"runs": 0}, {"real": None}):
        with pytest.raises(SpecError):
            chosen.replace(**changes)
    with pytest.raises(SpecError, match="layer"):
        chosen.metric.replace(layer="last")
    with pytest.raises(UserError, match="frechet-random"):
        protocol("frechet-ramdom")


def weights(network: FeatureNetwork, path: Path, state: Any = formulas.plain_state) -> Path:
    network.load_state_dict(state(network))
    torch.save(network.state_dict(), path)
    return path


def noise(count: int, frames: int, side: int, seed: int) -> Videos:
    shape = (count, frames, side, side, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def result(capsys: Capture, tmp_path: Path, name: str, fake: Videos, *more: object) -> dict[str, Any]:
    np.save(tmp_path / "fake.npy", fake)
    out = tmp_path / "out.jsonl"
    answer = vidgan(capsys, "evaluate", tmp_path / "fake.npy", "--protocol", name, "--out", out, *more)
    assert answer.status == 0, answer.err
    return read_lines(out)[-1]


def as_video(videos: Videos) -> torch.Tensor:
    return torch.from_numpy(videos).permute(0, 1, 4, 2, 3)


@pytest.mark.slow
def test_r2plus1d(tmp_path: Path, capsys: Capture) -> None:
    network = R2Plus1D()
    file = weights(network, tmp_path / "r.pt")
    fake, real = noise(3, 4, 24, 0), noise(4, 4, 24, 1)
    np.save(tmp_path / "real.npy", real)
    a, b = (network(r2plus1d_input(2 * as_video(x).float() / 255 - 1)) for x in (fake, real))
    line = result(capsys, tmp_path, "is-r2plus1d", fake, "--weights", file)
    assert line["value"] == pytest.approx(inception_score(a.logits.numpy())[0], rel=1e-4)
    more = ("--weights", file, "--real", tmp_path / "real.npy")
    line = result(capsys, tmp_path, "fid-r2plus1d", fake, *more)
    expected = frechet_distance(a.features.numpy(), b.features.numpy())
    assert line["value"] == pytest.approx(expected, rel=1e-4)
    assert len(line["network"]["sha256"]) == 64


@pytest.mark.slow
def test_c3d(tmp_path: Path, capsys: Capture) -> None:
    """Both preparations of clips; one test, as these weights take seconds to write."""
    network = C3D()
    file = weights(network, tmp_path / "c.pt")
    mean = 255 * formulas.uniform("c3d/mean", (3, 16, 128, 171))
    np.savez(tmp_path / "mean.npz", mean=mean.astype(np.float32))
    fake = noise(2, 16, 20, 0)
    clips = 2 * as_video(fake).float() / 255 - 1
    for name, prepare, epsilon in (
        ("is-ucf101-tgan", tgan_input, 1e-7),
        ("is-ucf101-tganv2", tganv2_input, 1e-20),
    ):
        line = result(capsys, tmp_path, name, fake, "--weights", file, "--mean-clip", tmp_path / "mean.npz")
        logits = network(prepare(clips, torch.from_numpy(mean).float())).logits.numpy()
        assert line["value"] == pytest.approx(inception_score(logits, epsilon=epsilon)[0], rel=1e-4)
        assert {"sha256", "mean_sha256"} <= set(line["network"])
        answer = vidgan(capsys, "evaluate", tmp_path / "fake.npy", "--protocol", name, "--weights", file)
        assert answer.status == 2
        assert "--mean-clip" in answer.err


@pytest.mark.slow
def test_i3d(tmp_path: Path, capsys: Capture) -> None:
    network = I3D()
    file = weights(network, tmp_path / "i.pt", formulas.i3d_state)
    fake, real = noise(2, 9, 16, 0), noise(2, 9, 16, 1)
    np.save(tmp_path / "real.npy", real)
    more = ("--weights", file, "--real", tmp_path / "real.npy", "--frames", 9)

    def features(videos: Videos, resize: Any) -> Any:
        return network(2 * resize(as_video(videos), 224, 224) / 255 - 1).logits.numpy()

    reference = result(capsys, tmp_path, "fvd-reference", fake, *more)
    expected = frechet_distance(features(real, bilinear_legacy), features(fake, bilinear_legacy))
    assert reference["value"] == pytest.approx(expected, rel=1e-4)
    stylegan = result(capsys, tmp_path, "fvd-stylegan-v-2048-16f", fake, *more)
    logits = features(real, bilinear_half_pixel), features(fake, bilinear_half_pixel)
    assert stylegan["value"] == pytest.approx(frechet_distance(*logits, biased=True), rel=1e-4)
    assert stylegan["value"] != pytest.approx(reference["value"], rel=1e-3)


@pytest.mark.slow
def test_short_clips_are_lengthened_only_where_the_protocol_says_so(tmp_path: Path) -> None:
    network = I3D()
    file = weights(network, tmp_path / "i.pt", formulas.i3d_state)
    fake = noise(1, 6, 16, 0)
    longer = np.concatenate([fake, *[fake[:, -1:]] * 3], axis=1)
    logits = network(2 * bilinear_legacy(as_video(longer), 224, 224) / 255 - 1).logits.numpy()
    resources, batch = Resources(file), EvaluationBatch(fake, np.zeros(1, np.int64))
    rows = protocol("is-k400").features.open(resources, ("all",)).rows(batch)
    np.testing.assert_allclose(rows["logits"], logits, atol=1e-3)
    with pytest.raises(UserError, match="9 frames and the clips have 6"):
        protocol("fvd-reference").features.open(resources, ("all",)).rows(batch)


def test_best_of_futures(tmp_path: Path, capsys: Capture) -> None:
    """Files of futures beside what followed, three for each of four real clips."""
    real = noise(4, 5, 16, 0)
    mixed = [
        real[i] * (0.4 + 0.2 * j) + noise(1, 5, 16, 9 + 3 * i + j)[0] * 0.2
        for i in range(4)
        for j in range(3)
    ]
    fake = np.stack(mixed).astype(np.uint8)
    np.save(tmp_path / "real.npy", real)
    more = ("--real", tmp_path / "real.npy", "--futures", 3)
    line = result(capsys, tmp_path, "ssim-best-of-100", fake, *more)
    scores = np.stack([[ssim(fake[3 * i + j], real[i]) for i in range(4)] for j in range(3)])
    best = best_of(scores)
    assert line["value"] == pytest.approx(best.mean(), abs=1e-6)
    np.testing.assert_allclose(line["values"]["per_frame"], best.mean(0), atol=1e-6)
    assert line["clips"] == 4
    answer = vidgan(
        capsys,
        *("evaluate", tmp_path / "fake.npy", "--real", tmp_path / "real.npy", "--futures", 5),
        *("--protocol", "ssim-best-of-100"),
    )
    assert answer.status == 2
    assert "--futures" in answer.err


def test_power_spectra(tmp_path: Path, capsys: Capture) -> None:
    """Of white noise of half the contrast: a quarter of the power, log10(4) = 0.602 decades, but for the mean."""
    real = noise(60, 2, 32, 0)
    fake = (128 + (real.astype(float) - 128) / 2).round().astype(np.uint8)
    np.save(tmp_path / "real.npy", real)
    more = ("--real", tmp_path / "real.npy", "--frames", 2, "--positions", 1, 2)
    line = result(capsys, tmp_path, "psd", fake, *more)
    curves = {name: np.array(line["values"][name]) for name in ("fake", "real", "fake_deviation")}
    assert curves["fake"].shape == curves["fake_deviation"].shape == (2, 16)
    np.testing.assert_allclose(curves["real"][:, 1:] / curves["fake"][:, 1:], 4, rtol=0.05)
    assert line["value"] == pytest.approx(np.log10(4) * 15 / 16, rel=0.05)


class Program(torch.nn.Module):
    """A stand-in for the TorchScript I3D: 400 means of what it is given."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return x.flatten(1)[:, :3200].reshape(len(x), 400, 8).mean(2)


def test_foreign_code_runs_only_by_its_flag(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(Program()).save(str(file))
    fake, real = noise(3, 16, 16, 0), noise(4, 16, 16, 1)
    np.save(tmp_path / "real.npy", real)
    more = ("--weights", file, "--real", tmp_path / "real.npy")
    np.save(tmp_path / "fake.npy", fake)
    answer = vidgan(capsys, "evaluate", tmp_path / "fake.npy", "--protocol", "fvd-stylegan-v-2048-16f", *more)
    assert answer.status == 2
    assert "--run-foreign-code" in answer.err
    line = result(capsys, tmp_path, "fvd-stylegan-v-2048-16f", fake, *more, "--run-foreign-code")
    a, b = (Program()(as_video(x).transpose(1, 2).float(), True, True, True).numpy() for x in (real, fake))
    assert line["value"] == pytest.approx(frechet_distance(a, b, biased=True), rel=1e-4)
    # On record as what it is, so that it never stands beside numbers of our own network.
    assert line["settings"]["features"] == {"is": "ForeignI3D", "every": 1}


def test_what_sees_the_same_is_computed_once() -> None:
    """Clips that are long enough are lengthened by no protocol, so their networks see the same."""
    short, plain = protocol("is-k400").features, protocol("fvd-reference").features
    assert short != plain
    assert short.for_frames(9) == plain.for_frames(9) == plain
    assert short.for_frames(8) == short
    sparse = protocol("fvd-stylegan-v-2048-128f-subsample8f").features
    sparse.check_form(128, 64)
    with pytest.raises(UserError, match="I3D needs 9 frames and the clips have 8"):
        sparse.check_form(64, 64)


def test_every_eighth_frame(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = protocol("fvd-stylegan-v-2048-128f-subsample8f").features
    assert isinstance(chosen, I3DFeatures)
    frames = as_video(noise(1, 128, 8, 0))
    expected = 2 * bilinear_half_pixel(frames[:, 0:128:8], 224, 224) / 255 - 1
    assert expected.shape[1] == 16
    torch.testing.assert_close(chosen.prepared(frames), expected)
    file = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(Program()).save(str(file))
    opened = chosen.open(Resources(file, run_foreign_code=True), ())
    seen = opened.rows(EvaluationBatch(noise(2, 128, 12, 0), np.zeros(2, np.int64)))["logits"]
    x = as_video(noise(2, 128, 12, 0))[:, ::8].transpose(1, 2).float()
    np.testing.assert_allclose(seen, Program()(x, True, True, True), rtol=1e-6)


@pytest.mark.parametrize(("name", "epsilon"), [("fvd-reference", 1e-3), ("kvd-tats-2048-16f", 1e-5)])
def test_batch_normalisation_has_the_epsilon_of_the_protocol(
    name: str, epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(torch.nn.Sequential):
        def forward(self, x: torch.Tensor) -> Outputs:
            made = super().forward(x.transpose(1, 2)).mean((2, 3, 4))
            return Outputs(made, made)

    network, norm = Small(FrozenBatchNorm(3)), torch.nn.BatchNorm3d(3, eps=epsilon).eval()
    found = network, Weights(Path("x"), "0")
    monkeypatch.setattr("vidgan.evaluation.protocols.networks.load_i3d", lambda *given: found)
    monkeypatch.setattr("vidgan.evaluation.protocols.networks.is_torchscript", lambda path: False)
    for each in (network[0], norm):
        each.running_var.fill_(1e-4)
    features = protocol(name).features
    assert isinstance(features, I3DFeatures)
    clip = noise(1, 9, 8, 0)
    seen = features.open(Resources(Path("x")), ()).rows(EvaluationBatch(clip, np.zeros(1, np.int64)))
    expected = norm(features.prepared(as_video(clip)).transpose(1, 2)).mean((2, 3, 4))
    np.testing.assert_allclose(seen["logits"], expected.detach(), rtol=1e-5)


def test_what_stands_beside_a_number_is_averaged_over_runs_too() -> None:
    table = {"rows": ["disc"], "counts": [[3]]}
    one = Score(
        1.0, {"level 2": 1.0, "per_frame": [0.0, 2.0], "per_class": {"disc": 0.25}, "seen": "disc"}, table
    )
    two = Score(4.0, {"level 2": 2.0, "per_frame": [1.0, 4.0], "per_class": {"disc": 0.75}, "seen": "square"})
    expected = {"level 2": 1.5, "per_frame": [0.5, 3.0], "per_class": {"disc": 0.5}, "seen": "disc"}
    assert over_runs([one, two]) == Score(2.5, expected, table)
    assert over_runs([one]) == one
