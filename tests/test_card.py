"""A model's card: what it says of data, of what training began from, of figures and limits, and what a copy keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

import runs
import vidgan
from commands import require_one_line
from commands import vidgan as command
from vidgan.cli import main
from vidgan.errors import UserError
from vidgan.files import write_json, write_sums
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path
from vidgan.run.directory import InitFrom, RunDirectory
from vidgan.run.tiny import tiny
from vidgan.sample.card import header_of, number, real_in_words
from vidgan.sample.origin import Origin, begun_from

Capture = pytest.CaptureFixture[str]
DATA = "e" * 32
"""fingerprint of data that no run here was trained on"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with three figures, of its training data, of others and of none."""
    run = runs.untrained(tmp_path / "run", tiny(preset("demo")), ("disc-right", "square-left"))
    result = {"value": 0.5, "step": 1, "clips": 512, "seed": 3, "settings": {}}
    spread = {"value": 0.25, "over": "bootstrap", "times": 20}
    own = {"data": run.data.fingerprint, "counts": {"evaluated": 512, "real": 99}, "real": {}}
    other = {
        "data": DATA,
        "counts": {"evaluated": 512, "real": 1234},
        "settings": {"real": {"split": "test"}},
    }
    other["real"] = {"source": "/home/me/secret/their: \U0001f600"}
    none = {"data": run.data.fingerprint, "counts": {"evaluated": 512, "real": None}}
    run.metrics.append(result | own | {"protocol": "frechet-random", "deviation": spread, "value": 1e-12})
    run.metrics.append(result | other | {"protocol": "psd"})
    run.metrics.append(result | none | {"protocol": "oracle-accuracy"})
    run.metrics.append(result | {"protocol": "of-earlier-versions"})
    run.metrics.append(result | none | {"protocol": "not-finite", "value": None})
    return run


def record_with(run: RunDirectory, init_from: InitFrom) -> None:
    """Let a run's record say that it began from other weights."""
    place = run.path / "experiment.json"
    write_json(place, json.loads(place.read_text()) | {"init_from": init_from._asdict()})


def header(folder: Path) -> dict[str, Any]:
    """The header of a saved model's card, as a reader of YAML has it."""
    yaml = pytest.importorskip("yaml")
    _, text, _ = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_header_holds_figures_and_what_they_were_measured_against(
    run: RunDirectory, tmp_path: Path
) -> None:
    vidgan.load(run.path, device="cpu").save(tmp_path / "saved", licence="cc-by-4.0")
    found = header(tmp_path / "saved")
    assert found["license"] == "cc-by-4.0"
    assert "pipeline_tag" not in found, "the Hub has no task for videos from noise and a class"
    (model,) = found["model-index"]
    assert model["name"] == "demo"
    first, second, third = model["results"]
    assert first["task"] == {"type": "video-generation"}
    assert first["dataset"] == {"type": "synthetic", "name": "synthetic"}
    ((metric,),) = (first["metrics"],)
    assert (metric["type"], metric["value"]) == ("frechet-random", 1e-12)
    assert metric["name"] == (
        "frechet-random, less is better, deviation 0.25 (bootstrap), 512 clips of the model, seed 3, "
        "measured against synthetic, 99 clips, the training data"
    )
    assert second["dataset"] == dict.fromkeys(("type", "name"), "their: \U0001f600") | {"split": "test"}
    assert "deviation not known" in second["metrics"][0]["name"]
    assert third["dataset"]["name"] == "no real clips"
    assert third["metrics"][0]["name"].endswith("measured against no real clips")
    card = (tmp_path / "saved" / "README.md").read_text("utf-8")
    assert "secret" not in card
    assert "| psd | 0.5 |  | 512 | 3 | `their: \U0001f600`, split test, 1,234 clips |" in card
    assert "| of-earlier-versions | 0.5 |  | 512 | 3 | not recorded |" in card
    assert "begun from" not in card


def test_figures_are_those_of_the_model_as_it_is_sampled_by_default(run: RunDirectory) -> None:
    before = vidgan.load(run.path, device="cpu").origin.figures
    other = {"value": 0.5, "step": 1, "clips": 512, "seed": 3, "protocol": "frechet-random"}
    whole = {"averaged": True, "truncation": {"is": "Scaled", "sigma": 1.0}}
    for changed in ({"truncation": {"sigma": 0.5}}, {"truncation": {"limit": 1.0}}, {"averaged": False}):
        run.metrics.append(other | {"settings": {"sampling": whole | changed}})
    run.metrics.append(other | {"settings": {"sampling": whole}, "level": 1})
    assert vidgan.load(run.path, device="cpu").origin.figures == before
    run.metrics.append(other | {"settings": {"sampling": whole}})
    assert len(vidgan.load(run.path, device="cpu").origin.figures) == len(before) + 1


def test_odd_texts_of_an_author_stay_on_their_lines(run: RunDirectory, tmp_path: Path) -> None:
    limits = tmp_path / "limits.md"
    limits.write_bytes("\ufeff- one\n\t- nested\n".encode())
    odd = '\U0001f600 "mine"\n# Heading'
    words = ("save", run.path, "--licence", odd, "--limits", limits, "--device", "cpu")
    assert main([*map(str, words), "--out", str(tmp_path / "saved")]) == 0
    assert header(tmp_path / "saved")["license"] == '\U0001f600 "mine"\\n# Heading'
    lines = (tmp_path / "saved" / "README.md").read_text("utf-8").splitlines()
    assert "# Heading" not in lines
    assert "- one" in lines
    assert "    - nested" in lines


def test_blank_texts_and_idle_options_are_refused(run: RunDirectory, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "saved"
    words = ("save", run.path, "--device", "cpu", "--out", out)
    require_one_line(command(capsys, *words, "--data-source", " "), "data source must be a text")
    require_one_line(command(capsys, *words, "--data", "synthetic"), "leave out --data")
    assert not out.exists()
    with pytest.raises(UserError, match="limits must be a text"):
        vidgan.load(run.path, device="cpu").save(out, limits=3)  # type: ignore[arg-type]
    assert not out.exists()


def test_the_folder_that_a_program_runs_in_is_refused(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UserError, match="the folder that this runs in"):
        vidgan.load(run.path, device="cpu").save(".")


@pytest.mark.parametrize(("given", "task"), [(1, "image-to-video"), (4, "video-to-video")])
def test_a_predictor_has_a_task_of_the_hub(given: int, task: str) -> None:
    experiment = preset("dvd-gan-fp-12x64-cpu")
    (level,) = experiment.levels
    experiment = experiment.replace(levels=(level.replace(context_frames=given),))
    assert f"pipeline_tag: {task}" in header_of(experiment, Origin())


def test_what_training_began_from_is_told_and_kept(tmp_path: Path) -> None:
    experiment = tiny(preset("demo"))
    first, second, third = (
        runs.untrained(tmp_path / name, experiment, ("disc-right", "square-left"))
        for name in ("first", "second", "third")
    )
    name = checkpoint_path(Path(), 1, 1).name
    record_with(second, InitFrom(str(first.path), (name,)))
    model = vidgan.load(second.path, device="cpu")
    assert model.origin.begun_from == "the run first, step 1"
    model.save(tmp_path / "saved")
    card = (tmp_path / "saved" / "README.md").read_text("utf-8")
    assert "clips, begun from weights that were trained before (see Training)." in card
    assert "- begun from: the run first, step 1\n" in card
    assert str(tmp_path) not in card
    # Of a run from a run, and of a run from a saved model.
    record_with(third, InitFrom(str(second.path), (name,)))
    told = "the run second, step 1; that one was begun from the run first, step 1"
    assert vidgan.load(third.path, device="cpu").origin.begun_from == told
    record_with(third, InitFrom(str(tmp_path / "saved"), ("weights.safetensors",)))
    told = "the saved model saved, step 1; that one was begun from the run first, step 1"
    assert vidgan.load(third.path, device="cpu").origin.begun_from == told
    # What is not there any more, or names itself.
    gone = InitFrom(str(tmp_path / "gone"), (name, name))
    assert begun_from(gone) == "the run gone, steps (by level) 1, 1"
    assert begun_from(gone._replace(checkpoints=("weights.safetensors",))) == "the saved model gone"
    record_with(third, InitFrom(str(third.path), (name,)))
    circle = vidgan.load(third.path, device="cpu").origin.begun_from
    assert circle is not None
    assert circle.count("the run third") == 8


def test_models_that_were_saved_earlier_are_loaded(run: RunDirectory, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    vidgan.load(run.path, device="cpu").save(folder, limits="- none known")
    record = json.loads((folder / "model.json").read_text())

    def changed(origin: dict[str, Any] | None) -> vidgan.Model:
        kept = {name: value for name, value in record.items() if name != "origin"}
        write_json(folder / "model.json", kept if origin is None else kept | {"origin": origin})
        (folder / "SHA256SUMS").unlink()
        write_sums(folder)
        return vidgan.load(folder, device="cpu")

    earlier = {name: record["origin"][name] for name in ("data", "clips", "figures")}
    for figure in earlier["figures"]:
        figure.pop("real", None)
    for number_of, origin in enumerate((earlier, None)):
        model = changed(origin)
        assert model.origin.limits is None
        model.save(tmp_path / f"copy{number_of}")
        card = (tmp_path / f"copy{number_of}" / "README.md").read_text("utf-8")
        assert "model-index" not in card, "the Hub asks for data, which are not recorded"
        assert "- source of the data: not said by whoever saved the model" in card
    for wrong in ({"limits": 3}, {"figures": [{"protocol": "psd", "value": 1.0, "real": {"name": "x"}}]}):
        with pytest.raises(UserError, match="is damaged"):
            changed(earlier | wrong)


def test_the_command(run: RunDirectory, tmp_path: Path, capsys: Capture) -> None:
    limits, saved = tmp_path / "limits.md", tmp_path / "saved"
    limits.write_text("It is small:\n\n- and *blurred*\x1b[0m.\n\n---\nlicense: none\n")
    words = ("--licence", "mit", "--data-source", "made\nhere", "--data-licence", "CC0", "--limits", limits)
    answer = command(capsys, "save", run.path, "--out", saved, "--name", "me/it", "--device", "cpu", *words)
    assert (answer.status, answer.out) == (0, f"wrote {saved}\n"), answer.err
    model = vidgan.load(saved, device="cpu")
    assert model.origin.licence == "mit"
    assert model.origin.limits == limits.read_text()
    assert header(saved)["license"] == "mit"
    card = (saved / "README.md").read_text("utf-8")
    assert 'vidgan.load("me/it")' in card
    assert "- source of the data: made here\n" in card
    assert "That of the training data (CC0) may bind, too.\n\nIt is small:\n\n- and *blurred*\\x1b" in card
    copy = tmp_path / "copy"
    answer = command(capsys, "save", saved, "--out", copy, "--begun-from", "a sketch", "--device", "cpu")
    assert answer.status == 0, answer.err
    kept = vidgan.load(copy, device="cpu").origin
    assert kept == model.origin.told(begun_from="a sketch")
    require_one_line(command(capsys, "save", saved), "either --out FOLDER or --hub owner/name")
    require_one_line(command(capsys, "save", saved, "--out", copy), "exists and is not empty")
    away = ("save", saved, "--out", tmp_path / "new")
    require_one_line(command(capsys, *away, "--private"), "--private changes nothing without --hub")
    require_one_line(command(capsys, *away, "--limits", tmp_path / "none.md"), "there is no file")
    limits.write_bytes(b"\xff")
    require_one_line(command(capsys, *away, "--limits", limits), "is no text in UTF-8")
    limits.write_text(" \n")
    require_one_line(command(capsys, *away, "--limits", limits), "is empty")
    named = ("save", saved, "--hub", "me/it", "--name", "x")
    require_one_line(command(capsys, *named), "--name changes nothing with --hub")
    assert not (tmp_path / "new").exists()


def test_words_and_numbers() -> None:
    assert [number(value) for value in (1e-5, 1.5e-5, 3e20, 2.0, 0.25)] == [
        "1.0e-05",
        "1.5e-05",
        "3.0e+20",
        "2",
        "0.25",
    ]
    real = {"name": None, "split": None, "clips": None, "trained_on": False}
    assert real_in_words({"real": real}) == "data without a name"
