"""Damaged files: what is binary is checked whole, what is text line by line, and one line says what is wrong."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from commands import require_one_line, vidgan
from runs import full_run, make_run, tick, write_log
from videos import write_video
from vidgan.data.prepare import prepare
from vidgan.data.raw_videos import open_videos
from vidgan.errors import UserError
from vidgan.evaluation.classifier import InDomainClassifier, load_in_domain, save_in_domain
from vidgan.files import read_json, require_sums
from vidgan.forms import COUNT, MAYBE, TEXT, Fields, Table, fits
from vidgan.report.collect import collect
from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import checkpoint_path, latest, load_statistics, save, save_statistics
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_ticks
from vidgan.sample.load import load_run
from vidgan.tensor_file import State, load_tensors, save_tensors

Capture = pytest.CaptureFixture[str]
STATE = State(
    {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.tensor([1, 2], dtype=torch.int16),
        "c": torch.zeros(()),
    },
    {"level": 1, "step": 2, "finished": False},
)


def same(one: State, other: State) -> bool:
    return (
        one.facts == other.facts
        and one.tensors.keys() == other.tensors.keys()
        and all(
            (t.dtype, t.shape) == (other.tensors[name].dtype, other.tensors[name].shape)
            and torch.equal(t, other.tensors[name])
            for name, t in one.tensors.items()
        )
    )


@pytest.mark.slow
def test_every_flipped_bit_of_a_binary_file_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path, changed = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    save_tensors(path, "kind", STATE)
    assert same(load_tensors(path, "kind"), STATE)
    whole, accepted, said = path.read_bytes(), 0, set[str]()
    for place in range(len(whole)):
        for bit in (1, 64):
            changed.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            try:
                found = load_tensors(changed, "kind")
            except UserError as error:
                said.add(str(error))
            else:
                assert same(found, STATE)
                accepted += 1
    assert accepted < 20  # blanks that pad the header
    assert all(str(changed) in text and "\n" not in text for text in said)


def with_facts(path: Path, change: dict[str, Any]) -> None:
    """Change a file's facts and nothing else, as a flipped bit does."""
    with safe_open(path, framework="pt") as file:
        about = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about["facts"] = json.dumps(json.loads(about["facts"]) | change)
    save_file(tensors, path, about)


def test_facts_that_were_changed_lead_to_the_checkpoint_before(tmp_path: Path) -> None:
    for step in (1, 2):
        save(checkpoint_path(tmp_path, 1, step), State(STATE.tensors, {"level": 1, "step": step}))
    with_facts(checkpoint_path(tmp_path, 1, 2), {"step": 6})
    found = latest(tmp_path, 1)
    assert found is not None
    assert found.state.facts["step"] == 1
    assert len(found.broken) == 1
    assert "level1-step00000002" in found.broken[0]


def test_a_checkpoint_that_was_renamed_is_not_taken_for_another_step(tmp_path: Path) -> None:
    save(checkpoint_path(tmp_path, 1, 2), State(STATE.tensors, {"level": 1, "step": 2}))
    checkpoint_path(tmp_path, 1, 2).rename(checkpoint_path(tmp_path, 1, 7))
    with pytest.raises(UserError, match="another level or step than its name"):
        latest(tmp_path, 1)


def test_a_checkpoint_of_another_model_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    facts = {"level": 1, "step": 2, "labels": [1] * run.experiment.classes}
    save(checkpoint_path(run.checkpoints, 1, 2), State(STATE.tensors, facts))
    with pytest.raises(UserError, match="of another model"):
        load_run(run)


def test_checkpoints_of_the_form_before_are_read(tmp_path: Path) -> None:
    path = checkpoint_path(tmp_path, 1, 2)
    # As written then: the checksum is CRC-32 over names and bytes, in order of the names.
    import zlib

    value = 0
    for name in sorted(STATE.tensors):
        value = zlib.crc32(STATE.tensors[name].numpy().tobytes(), zlib.crc32(name.encode(), value))
    about = {"format": "vidgan-checkpoint-1", "facts": json.dumps(STATE.facts), "checksum": str(value)}
    save_file(STATE.tensors, path, about)
    found = latest(tmp_path, 1)
    assert found is not None
    assert same(found.state, STATE)


def test_damaged_statistics_are_taken_anew(tmp_path: Path, capsys: Capture) -> None:
    path = save_statistics(tmp_path, {"weights": ["x"]}, STATE.tensors)
    assert load_statistics(tmp_path, {"weights": ["x"]}) is not None
    with_facts(path, {"weights": ["y"]})
    assert load_statistics(tmp_path, {"weights": ["x"]}) is None
    assert "taken anew" in capsys.readouterr().err


def test_a_classifiers_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_in_domain(path, InDomainClassifier(2), ("a", "b"), {"held_out_accuracy": 0.5})
    assert load_in_domain(path).classes == ("a", "b")
    with_facts(path, {"classes": ["b", "a"]})
    with pytest.raises(UserError, match="checksum does not fit"):
        load_in_domain(path)
    save_file(InDomainClassifier(2).state_dict(), path, {"format": "vidgan in_domain classifier"})
    with pytest.raises(UserError, match="of another version"):
        load_in_domain(path)


DAMAGED = (
    "\x00\x00\x00",
    '{"level": 1, "st',
    "[]",
    "{}",
    '{"level": "one", "step": 2, "clips": 3, "seconds": 1.5, "scalars": {}}',
    '{"level": 1, "step": 2, "clips": 3, "seconds": 1.5, "scalars": {"loss/generator": "high"}}',
    "[" * 100_000,
)


def test_damaged_lines_of_a_log_are_named_and_left_out(tmp_path: Path, capsys: Capture) -> None:
    run = make_run(tmp_path / "run")
    write_log(run, [tick(step, {"loss/generator": 1.0}) for step in (1, 2)])
    whole = run.log.path.read_bytes()
    damaged = b"\xff\xfe\n" + "".join(f"{line}\n" for line in DAMAGED).encode()
    run.log.path.write_bytes(whole + damaged + whole[: len(whole) // 2] + b'{"level": 1, "step"')
    assert [line["step"] for line in read_ticks(run.log.path)] == [1, 2, 1]
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "log.jsonl: left out the damaged lines 3, 4, 5, 6, 7 and 3 more" in err
    # What cannot be read cannot be dropped for its step either; the half line goes.
    run.log.cut(lambda line: line.get("step") != 2 or "clips" not in line)
    assert run.log.path.read_bytes().startswith(whole[: len(whole) // 2] + b"\xff\xfe\n\x00\x00\x00\n")
    out = tmp_path / "curves.svg"
    assert vidgan(capsys, "plot", "curves", run.path, "--scalar", "loss/generator", "--out", out).status == 0


def test_damaged_results_do_not_hide_the_others(tmp_path: Path, capsys: Capture) -> None:
    run = full_run(tmp_path / "run")
    (line,) = [json.loads(text) for text in run.metrics.path.read_text().splitlines()]
    line |= {"during": "training", "larger_is_better": True}
    lines: list[dict[str, Any]] = [line]
    for name, value in (
        ("value", "much"),
        ("settings", None),
        ("step", "x"),
        ("deviation", 3),
        ("protocol", 1),
    ):
        lines.append(copy.deepcopy(line) | {name: value})
    unsure = copy.deepcopy(line) | {
        "step": 900,
        "value": 0.125,
        "deviation": {"value": None, "over": "runs", "times": 3},
    }
    text = "".join(json.dumps(each) + "\n" for each in [*lines, unsure])
    run.metrics.path.write_text(text)
    best = best_of_run(run)
    assert best is not None
    assert best.value == max(line["value"], 0.125)
    answer = vidgan(capsys, "compare", run.path)
    assert answer.status == 0
    assert "0.1250" in answer.out


def test_logs_without_a_whole_line_are_as_good_as_empty(tmp_path: Path, capsys: Capture) -> None:
    run = full_run(tmp_path / "run")
    for path in (run.metrics.path, run.log.path):
        path.write_text('{"protocol": "psd"}\n{"level": "x"}\nnonsense\n')
    results = run.metrics.path
    require_one_line(vidgan(capsys, "compare", run.path), f"{results}: left out the damaged lines 1, 2, 3")
    for kind in ("futures", "spectra"):
        answer = vidgan(capsys, "plot", kind, run.path, "--out", tmp_path / "f.svg")
        require_one_line(answer, "holds no results", "damaged lines 1, 2, 3")
    for shown in ("--protocol", "psd"), ("--scalar", "loss/generator"):
        answer = vidgan(capsys, "plot", "curves", run.path, "--out", tmp_path / "f.svg", *shown)
        assert (answer.status, "no run has" in answer.err) == (2, True)
    assert best_of_run(run) is None
    assert vidgan(capsys, "report", run.path).status == 0


def test_records_that_were_changed_by_hand(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run").path
    file = path / "experiment.json"
    record = json.loads(file.read_text())
    for change in (
        {"data": None},
        {"data": record["data"] | {"class_names": ["one"]}},
        {"data": record["data"] | {"clips": "many"}},
        {"resumed": 3},
        {"processes": 0},
        {"budget": {"hours": "long"}},
        {"experiment": []},
    ):
        file.write_text(json.dumps(record | change))
        with pytest.raises(UserError, match=r"experiment\.json"):
            RunDirectory.open(path)
    for text in ("", "[]", "{}", "[" * 100_000, '{"format": NaN}', "\x00", "null"):
        file.write_text(text)
        with pytest.raises(UserError, match=r"experiment\.json"):
            RunDirectory.open(path)
    file.write_text(json.dumps(record))
    RunDirectory.open(path)


def test_pipes_devices_and_monsters_are_no_records(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    (tmp_path / "folder.json").mkdir()
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(2**40)
    for name in ("pipe", "zero", "folder", "huge", "missing"):
        with pytest.raises(UserError, match=f"{name}.json"):
            read_json(tmp_path / f"{name}.json")


def test_files_of_terabytes_are_not_read_to_their_end(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 8, 8, 3), np.uint8))
    for name in ("a.mp4", "a.npy", "log.jsonl", "c.safetensors", "SHA256SUMS"):
        with (tmp_path / name).open("ab") as file:
            file.truncate(2**42)
    for read in (
        lambda: prepare(tmp_path, tmp_path.with_name("made"), workers=0),
        lambda: open_videos(tmp_path / "a.npy"),
        lambda: read_ticks(tmp_path / "log.jsonl"),
        lambda: load_in_domain(tmp_path / "c.safetensors"),
        lambda: require_sums(tmp_path),
    ):
        with pytest.raises(UserError, match=r"too large|does not end where its array does"):
            read()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("place", [20, 60, 100, 117])
def test_a_broken_header_of_an_array_is_named(tmp_path: Path, place: int) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 8, 8, 3), np.uint8))
    whole = (tmp_path / "a.npy").read_bytes()
    for junk in (b"\xbe(", b"[" * 60, b"'", b"\n\n", b"9" * 30):
        (tmp_path / "a.npy").write_bytes(whole[:place] + junk + whole[place + len(junk) :])
        with pytest.raises(UserError, match=r"a\.npy"):
            open_videos(tmp_path / "a.npy").read(0, 0, 9)
    (tmp_path / "a.npy").write_bytes(whole + whole)
    with pytest.raises(UserError, match="does not end where its array does"):
        open_videos(tmp_path / "a.npy")


@pytest.mark.slow
def test_pictures_too_large_for_a_report_are_named(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    bomb, huge, pipe = (
        run.samples / "fixed" / f"level1-step0000{step}.webp" for step in ("0600", "0700", "0800")
    )
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    with huge.open("wb") as file:
        file.truncate(2**40)
    os.mkfifo(pipe)
    problems = collect(run.path).problems
    assert [
        name for name in (bomb.name, huge.name, pipe.name) if not any(name in text for text in problems)
    ] == []


def test_forms() -> None:
    form = Fields({"a": TEXT, "b": [Fields({"c": COUNT}, null=True)]}, {"d": Table(MAYBE)})
    right = {"a": "x", "b": [{"c": 1}, None], "d": {"e": None, "f": 1.5}, "more": []}
    assert fits(right, form)
    for wrong in (
        None,
        {},
        right | {"a": 1},
        right | {"b": [{"c": 0}]},
        right | {"b": [{"c": True}]},
        right | {"b": {}},
        right | {"d": {"e": "x"}},
        right | {"d": {"e": float("inf")}},
        right | {"d": None},
    ):
        assert not fits(wrong, form)


def test_a_run_of_another_version_is_named_by_its_file(tmp_path: Path, capsys: Capture) -> None:
    path = make_run(tmp_path / "run").path
    file = path / "experiment.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": "vidgan-run-1"}))
    require_one_line(vidgan(capsys, "report", path), str(file), "another version")
