"""``vidgan evaluate``: what is recorded, and which models and numbers it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from commands import require_one_line, snapshot, two_processes, vidgan
from vidgan.cli.evaluate import confusion, shown
from vidgan.data.layouts import Folder
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.evaluation.evaluated import subject_of
from vidgan.evaluation.protocols import protocol
from vidgan.evaluation.record import evaluate
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.sample.noise import Threshold
from vidgan.sample.video_io import write_clip
from vidgan.seeds import derive

Capture = pytest.CaptureFixture[str]


def train(out: Path, preset: str, *more: str) -> Path:
    from vidgan.cli import main

    command = ["train", preset, "--tiny", "--data", "synthetic", "--workers", "0", "--steps", "1"]
    assert main([*command, "--out", str(out), *more]) == 0
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("evaluate") / "run", "demo")


@pytest.mark.slow
def test_the_data_measured_are_on_record(run: Path, tmp_path: Path, capsys: Capture) -> None:
    made = SyntheticDataset(SyntheticSpec(size=30, frames=9, clips=8))
    (tmp_path / "videos").mkdir()
    for i in range(len(made)):
        write_clip(tmp_path / "videos" / f"{i}.mp4", made.read(i, 0, 9), 8.0)
    other = prepare_by(
        tmp_path / "videos", tmp_path / "data", PrepareSpec(layout=Folder(), size=30), workers=0
    )
    trained_on = RunDirectory.open(run).data.fingerprint
    assert other.fingerprint != trained_on
    for data, expected in (((), trained_on), (("--data", tmp_path / "data"), other.fingerprint)):
        answer = vidgan(capsys, "evaluate", run, "--protocol", "pixel-statistics", "--clips", 4, *data)
        assert answer.status == 0, answer.err
        assert read_lines(run / "metrics.jsonl")[-1]["data"] == expected


@pytest.mark.slow
def test_oracle_accuracy_refuses_other_models(run: Path, tmp_path: Path, capsys: Capture) -> None:
    class_free = train(tmp_path / "free", "demo", "--conditional", "False")
    predicting = train(tmp_path / "predicting", "trivd-gan-fp-k600-16x64")
    for out, word in ((class_free, "without classes"), (predicting, "continues videos")):
        before = snapshot(out)
        # Refused before the other protocol has measured anything.
        answer = vidgan(
            capsys, "evaluate", out, "--protocol", "pixel-statistics", "oracle-accuracy", "--clips", 2
        )
        require_one_line(answer, "the oracle", word)
        assert snapshot(out) == before
    answer = vidgan(capsys, "evaluate", run, "--protocol", "oracle-accuracy", "--clips", 2)
    assert answer.status == 0, answer.err


def test_oracle_accuracy_refuses_other_classes(run: Path) -> None:
    opened = RunDirectory.open(run)
    data = SyntheticDataset(SyntheticSpec(shapes=("disc", "triangle")))
    with pytest.raises(UserError, match="triangle-left"):
        protocol("oracle-accuracy").check(subject_of(opened.experiment, opened.class_names, data))


@pytest.mark.slow
def test_runs_are_repeated_with_other_noise(run: Path, capsys: Capture) -> None:
    command = ("evaluate", run, "--protocol", "frechet-random", "--clips", 6, "--real-clips", 40)
    single = []
    for seed in (0, 1):
        answer = vidgan(capsys, *command, "--seed", seed)
        assert answer.status == 0, answer.err
        single.append(read_lines(run / "metrics.jsonl")[-1])
        assert single[-1]["deviation"]["over"] == "bootstrap"
    assert single[0]["evaluated"]["weights"] == single[1]["evaluated"]["weights"]
    assert single[0]["settings"]["sampling"]["statistics"]["is"] == "StandingStatisticsSpec"
    answer = vidgan(capsys, *command, "--runs", 3)
    line = read_lines(run / "metrics.jsonl")[-1]
    assert len(line["per_run"]) == 3
    assert line["per_run"][0] == single[0]["value"]
    # The other runs have the noise of seed 1 and 2; the real clips stay those of seed 0.
    assert line["per_run"][1] != line["per_run"][0]
    assert line["value"] == pytest.approx(np.mean(line["per_run"]))
    assert line["deviation"]["value"] == pytest.approx(np.std(line["per_run"], ddof=1))
    assert "over 3 runs" in answer.out


@pytest.mark.slow
def test_two_processes_give_a_runs_number(tmp_path: Path, capsys: Capture) -> None:
    run = train(tmp_path / "run", "demo")
    command = ("evaluate", run, "--protocol", "frechet-random", "--clips", 40, "--real-clips", 40, "--cache")
    assert vidgan(capsys, *command, tmp_path / "one").status == 0
    done = two_processes(*command, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    one, two = read_lines(run / "metrics.jsonl")
    assert (two["value"], two["deviation"]) == (one["value"], one["deviation"])


@pytest.mark.parametrize("option", ["--futures", "--positions", "--real-clips", "--windows"])
def test_an_option_that_changes_nothing_is_refused(run: Path, capsys: Capture, option: str) -> None:
    names = ["pixel-statistics", "oracle-accuracy"][option in ("--real-clips", "--windows") :]
    answer = vidgan(capsys, "evaluate", run, "--protocol", *names, option, 3)
    require_one_line(answer, f"{option} changes nothing of {', '.join(names)}")


@pytest.mark.parametrize(
    ("options", "idle"),
    [
        (("--weights", "w.pt"), "--weights"),
        (("--mean-clip", "m.npz"), "--mean-clip"),
        (("--run-foreign-code",), "--run-foreign-code"),
    ],
)
def test_files_of_a_network_are_refused_where_there_is_none(
    run: Path, capsys: Capture, options: tuple[str, ...], idle: str
) -> None:
    before = snapshot(run)
    answer = vidgan(capsys, "evaluate", run, "--protocol", "frechet-random", "pixel-statistics", *options)
    require_one_line(answer, f"{idle} changes nothing")
    assert snapshot(run) == before
    arguments = {"weights": "w.pt"} if idle == "--weights" else {"mean_clip": "m.npz"}
    with pytest.raises(UserError, match="changes nothing"):
        evaluate(run, **arguments)  # type: ignore[arg-type]
    train = ("train", "demo", "--tiny", "--data", "synthetic", "--out", run.parent / "new")
    best = ("--reporting.best.protocol", "frechet-random", "--weights", "w.pt")
    require_one_line(vidgan(capsys, *train, *best), "--weights changes nothing")


def test_real_videos_are_refused_where_none_are_looked_at(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "fake").mkdir()
    write_clip(tmp_path / "fake" / "0.npy", np.zeros((9, 16, 16, 3), np.uint8), 8.0)
    for idle, value in (("--real", tmp_path / "fake"), ("--data", "synthetic"), ("--stride", "2")):
        answer = vidgan(capsys, "evaluate", tmp_path / "fake", "--protocol", "is-k400", idle, value)
        require_one_line(answer, f"{idle} changes nothing of is-k400")


def test_truncation_and_length_go_on_record(run: Path, capsys: Capture) -> None:
    command = ("evaluate", run, "--protocol", "frechet-random", "--clips", 4, "--real-clips", 10)
    answer = vidgan(capsys, *command, "--threshold", 0.5, "--frames", 3, "--raw")
    assert answer.status == 0, answer.err
    settings = read_lines(run / "metrics.jsonl")[-1]["settings"]
    assert settings["sampling"]["truncation"] == {"is": "Threshold", "limit": 0.5}
    assert settings["sampling"]["averaged"] is False
    assert "real clips are of 10 of" in answer.out
    assert "real.count: 10000 -> 10" in answer.out
    left = Threshold(limit=0.5).deviation
    assert settings["sampling"]["statistics"]["sigma"] == left
    answer = vidgan(capsys, *command, "--sigma", 0.5, "--statistics-sigma", 1)
    assert answer.status == 0, answer.err
    second = read_lines(run / "metrics.jsonl")[-1]
    assert second["settings"]["sampling"]["statistics"]["sigma"] == 1
    require_one_line(vidgan(capsys, *command, "--statistics-sigma", -1), "sigma", "at least 0")
    assert settings["source"]["frames"] == 3
    require_one_line(vidgan(capsys, *command, "--sigma", 0.5, "--threshold", 0.5), "sigma and threshold")
    require_one_line(vidgan(capsys, *command, "--frames", 99), "99 frames", "--frames")
    require_one_line(vidgan(capsys, *command, "--size", 99), "99x99")
    require_one_line(vidgan(capsys, *command, "--out", "x.jsonl"), "--out")


@pytest.mark.slow
def test_best_of_several_continuations_of_a_run(tmp_path: Path, capsys: Capture) -> None:
    """The score again, from the model's own continuations."""
    from vidgan.data.loader import to_float
    from vidgan.evaluation.metrics.frames import best_of, ssim
    from vidgan.run.data import data_of_run
    from vidgan.sample.load import load_run
    from vidgan.sample.standing import given_frames
    from vidgan.sample.video_io import to_bytes

    out = train(tmp_path / "predicting", "trivd-gan-fp-k600-16x64")
    command = ("evaluate", out, "--protocol", "ssim-best-of-100", "--clips", 2, "--futures", 3, "--size", 16)
    size = RunDirectory.open(out).experiment.size
    answer = vidgan(capsys, *command[:-1], size)
    assert answer.status == 0, answer.err
    line = read_lines(out / "metrics.jsonl")[-1]
    opened = RunDirectory.open(out)
    dataset = data_of_run(opened, None)
    model = load_run(opened, data=given_frames(opened, dataset))
    level = model.experiment.levels[0]
    context, frames = level.context_frames, level.frames
    order = np.argsort(
        np.random.PCG64(derive(0, "evaluation order")).random_raw(len(dataset)), kind="stable"
    )[:2]
    best = []
    for place, index in enumerate(order.tolist()):
        clip = dataset.read(index, 0, context + frames, level.stride)
        given = to_float(torch.from_numpy(np.stack([clip[:context]] * 3)))
        numbers = range(3 * place, 3 * place + 3)
        futures = to_bytes(model.sampler().predict(given, numbers, [0] * 3, 0).video).numpy()
        best.append(best_of(np.stack([ssim(future, clip[context:])[None] for future in futures])))
    assert line["value"] == pytest.approx(np.mean(best), abs=1e-5)
    assert len(line["values"]["per_frame"]) == frames


@pytest.mark.slow
def test_a_run_is_asked_for_some_classes(run: Path, capsys: Capture) -> None:
    args = ("evaluate", run, "--protocol", "motion-by-class", "--clips", 6, "--real-clips", 20)
    answer = vidgan(capsys, *args, "--classes", "disc-left", 0)
    assert answer.status == 0, answer.err
    line = read_lines(run / "metrics.jsonl")[-1]
    assert line["values"]["evaluated_clips_per_class"] == {"disc-left": 3, "disc-right": 3}
    assert set(line["values"]["real_motion_per_class"]) == {"disc-left", "disc-right"}
    assert line["settings"]["source"]["classes"] == ["disc-left", "disc-right"]
    require_one_line(vidgan(capsys, *args, "--classes", "disc-lift"), "disc-left")


@pytest.mark.slow
def test_class_free_models_name_no_classes(tmp_path: Path, capsys: Capture) -> None:
    class_free = train(tmp_path / "free", "demo", "--conditional", "False")
    answer = vidgan(capsys, "sample", class_free, "--out", tmp_path / "a", "--clips", 2, "--format", "npy")
    assert answer.status == 0, answer.err
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["00000.npy", "00001.npy"]
    answer = vidgan(capsys, "sample", class_free, "--out", tmp_path / "b", "--classes", "disc-right")
    require_one_line(answer, "without classes")
    assert not (tmp_path / "b").exists()


def test_values_are_shown_with_few_digits() -> None:
    assert shown([0.12042937, 0.00016019, 12]) == "0.1204, 0.0001602, 12"
    assert shown({"10": 0.5, "100": [0.25, 1.0]}) == "10 0.5000, 100 0.2500, 1.0000"
    assert shown("none") == "none"


@pytest.mark.parametrize(("terminal", "numbered"), [("200", False), ("80", True)])
def test_a_table_of_classes_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: str, numbered: bool
) -> None:
    monkeypatch.setenv("COLUMNS", terminal)
    classes = [f"{shape}-{way}" for shape in ("disc", "square") for way in ("right", "left", "down", "grow")]
    counts = [[64 if asked == seen else asked for seen in range(9)] for asked in range(8)]
    head, *lines = confusion(classes, [*classes, "none"], counts)
    assert max(map(len, [head, *lines])) <= int(terminal)
    names = [str(i) for i in range(1, 9)] if numbered else classes
    assert head.split() == ["asked", "\\", "seen", *names, "none"]
    for i, (line, row) in enumerate(zip(lines, counts, strict=True)):
        assert line.split() == [*([str(i + 1)] if numbered else []), classes[i], *map(str, row)]
    # Every number ends where the head of its column does.
    assert all(len(line) == len(head) for line in lines)
