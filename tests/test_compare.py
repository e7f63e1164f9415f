"""``vidgan compare``: only like results stand together, and published numbers beside their like."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from commands import require_one_line, vidgan
from runs import make_run
from vidgan.cli.compare import warnings_of
from vidgan.evaluation.protocols import ALL
from vidgan.evaluation.results import Entry, Published, beside, groups, nearest, published
from vidgan.presets.demo import demo
from vidgan.spec import to_json

Capture = pytest.CaptureFixture[str]


def line(name: str, value: float = 1.0, **settings: Any) -> dict[str, Any]:
    """A result as evaluation writes it; ``settings`` are dotted fields with ``__`` for the dot."""
    made = {
        "protocol": name,
        "value": value,
        "step": 10,
        "clips": 4,
        "seed": 0,
        "values": {},
        "deviation": {"value": 0.5, "over": "bootstrap", "times": 20},
        "settings": to_json(ALL[name].protocol),
        "network": {"sha256": "ab"},
        "data": "d1",
        "real": None,
        "warnings": [],
    }
    for place, value_ in settings.items():
        tree = made["settings"]
        *inner, last = place.split("__")
        for key in inner:
            tree = tree[key]
        tree[last] = value_
    return made


def together(*lines: dict[str, Any]) -> list[list[str]]:
    entries = [Entry("abcdef"[place], one) for place, one in enumerate(lines)]
    return [[entry.name for entry in group.entries] for group in groups(entries)]


def test_like_results_stand_together() -> None:
    a = line("fid-k600-avgpool")
    assert together(a, line("fid-k600-avgpool", 2.0, seed=3, runs=4)) == [["a", "b"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric__layer", "logits"),
        ("metric__biased", True),
        ("features__short", None),
        ("source__frames", 48),
        ("source__size", 32),
        ("source__stride", 2),
        ("source__fake_codec", "mp4"),
        ("real__count", 10),
        ("real__split", "test"),
        ("clips", 2048),
        ("sampling__averaged", False),
        ("sampling__truncation", {"is": "Scaled", "sigma": 0.44}),
    ],
)
def test_any_other_field_sets_results_apart_and_is_named(field: str, value: Any) -> None:
    a, b = line("fid-k600-avgpool"), line("fid-k600-avgpool", **{field: value})
    found = groups([Entry("a", a), Entry("b", b)])
    assert [[entry.name for entry in group.entries] for group in found] == [["a"], ["b"]]
    assert found[0].differs == ()
    assert any(field.replace("__", ".") in text for text in found[1].differs), found[1].differs


def test_other_weights_and_other_real_data_set_apart() -> None:
    a, b, c = line("fid-k600-avgpool"), line("fid-k600-avgpool"), line("fid-k600-avgpool")
    b["network"], c["data"] = {"sha256": "cd"}, "d2"
    assert together(a, b, c) == [["a"], ["b"], ["c"]]
    score, other = line("is-k600"), line("is-k600")
    other["data"] = "d2"  # an Inception Score compares with no data
    assert together(score, other) == [["a", "b"]]


def test_scores_by_unlike_networks_never_meet() -> None:
    assert together(line("is-k600"), line("is-k400"), line("is-k600", 3.0)) == [["a", "c"], ["b"]]


def test_files_stand_beside_any_sampling() -> None:
    plain, truncated = line("is-k400"), line("is-k400", sampling__truncation={"is": "Scaled", "sigma": 0.5})
    files = line("is-k400", sampling=None)
    assert together(plain, truncated, files) == [["a", "c"], ["b", "c"]]
    assert together(files, files) == [["a", "b"]]


def rows(**wanted: Any) -> list[Published]:
    return [row for row in published() if all(getattr(row, name) == value for name, value in wanted.items())]


def test_published_rows_are_what_the_papers_print() -> None:
    """A sample of rows, read in the papers by eye."""
    assert {row.printed_by for row in published()} == {"DVD-GAN", "TrIVD-GAN", "SSW-GAN", "CVG", "Guide"}
    assert all(row.protocol is None or row.protocol in ALL for row in published())
    (row,) = rows(printed_by="DVD-GAN", where="Table 1", protocol="fid-k600-avgpool", frames=48, size=128)
    assert row.value == 31.50
    (row,) = rows(printed_by="DVD-GAN", where="Table 1", truncated=True, frames=12, size=256)
    assert row.value == 64.05
    (row,) = rows(printed_by="DVD-GAN", model="DVD-GAN-FP", split="test", data="Kinetics-600")
    assert (row.value, row.deviation) == (103.78, 1.17)
    (row,) = rows(printed_by="TrIVD-GAN", model="DVD-GAN-FP", where="Table 3")
    assert (row.value, row.cited) == (69.15, "DVD-GAN, a later version")
    (row,) = rows(printed_by="TrIVD-GAN", model="TrIVD-GAN-FP", where="Table 3", protocol="fvd-reference")
    assert (row.value, row.deviation) == (25.74, 0.66)
    (row,) = rows(printed_by="CVG", model="CVG", data="UCF-101")
    assert row.value == 53.72
    (row,) = rows(printed_by="SSW-GAN", model="SSW-GAN", data="BDD100K", frames=50, protocol="fvd-reference")
    assert row.value == 326.78
    assert [row.value for row in rows(printed_by="Guide")] == [11.92, 20.76]


def test_a_table_never_merges_the_two_networks_of_kinetics() -> None:
    """SSW-GAN and CVG tabulate DVD-GAN's scores by I3D-600 beside their own by I3D-400."""
    for paper in ("SSW-GAN", "CVG"):
        assert {row.value for row in rows(printed_by=paper, protocol="is-k600")} == {77.45, 81.41}
        assert 104.00 in {row.value for row in rows(printed_by=paper, protocol="is-k400")}


def test_published_numbers_stand_beside_their_like_only() -> None:
    result = line("fid-k600-avgpool", source__frames=12, source__stride=2, source__size=128)
    values = {row.value for row in beside(result, "Kinetics-600", "train")}
    assert values == {2.16, 1.16, 2.09}
    # DVD-GAN's are against the training set; those who do not say which fit any.
    assert {row.value for row in beside(result, "Kinetics-600")} == {1.16, 2.09}
    assert beside(result, None) == []
    assert beside(result, "UCF-101") == []
    small = line("is-k600", source__frames=12, source__stride=2, source__size=64)
    assert {row.value for row in beside(small, "kinetics-600")} == {61.1, 110.05}
    truncated = copy.deepcopy(small)
    truncated["settings"]["sampling"]["truncation"] = {"is": "Scaled", "sigma": 0.44}
    assert {row.value for row in beside(truncated, "kinetics-600")} == {129.9}
    prepared = copy.deepcopy(result)
    prepared["real"] = {"prepared": {"layout": {"is": "Kinetics", "split": "train"}}, "classes": 600}
    assert {row.value for row in beside(prepared, None)} == values
    prepared["real"]["not_taken"] = 1  # of the real clips, by --real-clips
    prepared["settings"]["real"]["count"] = 5
    assert beside(prepared, None) == []


def bair(split: str, clips: int, **more: Any) -> dict[str, Any]:
    """A result as TrIVD-GAN, C.1 has them: one frame given, 64 pixels, 16 frames, ten repetitions."""
    form = {"source__frames": 16, "source__stride": 1, "source__size": 64, "sampling__given": 1, "runs": 10}
    made = line("fvd-reference", **form | {"clips": clips, "real__count": clips} | more)
    layout = {"is": "Bair", "split": split}
    return made | {"real": {"prepared": {"layout": layout}, "classes": 1, "not_taken": 0}}


ORIGINAL = {262.5, 116.4, 94.0, 127.1, 109.8, 103.3}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (bair("test", 256), ORIGINAL),
        (bair("test", 256, seed=3, runs=1), ORIGINAL),
        (bair("balanced-test", 30_000, real__windows=3), {31.8}),
        (bair("test", 2048), set()),
        (bair("test", 256, real__count=128), set()),
        (bair("test", 128, real__count=256), set()),
        (bair("test", 30_000), set()),
        (bair("train", 256), set()),
        (bair("test", 256, source__size=32), set()),
        (bair("test", 256, source__frames=15), set()),
        (bair("test", 256, source__whole=30), set()),
        (bair("test", 256, source__whole=16), ORIGINAL),
        (bair("balanced-test", 30_000, source__whole=30), set()),
        (bair("test", 256, source__stride=2), set()),
        (bair("test", 256, sampling__given=2), set()),
        (bair("test", 256, sampling__averaged=False), set()),
        (bair("test", 256, metric__biased=True), set()),
        (bair("test", 256, real__random_start=True), set()),
        (bair("test", 256, sampling__truncation={"is": "Threshold", "limit": 0.5}), set()),
        (bair("test", 256, sampling=None), ORIGINAL),  # files
    ],
)
def test_like_is_like_in_everything_but_seed_and_repetitions(
    result: dict[str, Any], expected: set[float]
) -> None:
    assert {row.value for row in beside(result)} == expected
    # And where nothing is alike, it is said what the nearest has.
    assert bool(nearest(result, None, None)[1]) == (not expected)


def test_scores_of_classes_stand_beside_theirs(tmp_path: Path, capsys: Capture) -> None:
    """SSW-GAN, Table 4: 1,000 samples of a class, of ten classes or fewer."""
    form = {"source__frames": 50, "source__stride": 4, "source__size": 128, "sampling__given": 0}
    result = line("fid-k600-by-class", **form, clips=2500, source__classes=["Capoeira", "yawning"])
    counts = {"capoeira": 1000, "yawning": 1500}
    result["values"] = {
        "per_class": {"capoeira": 90.25, "yawning": 1.0},
        "evaluated_clips_per_class": counts,
    }
    assert [(row.category, row.value) for row in beside(result, "Kinetics-600")] == [("capoeira", 84.57)]
    answer = vidgan(capsys, "compare", write(tmp_path / "a.jsonl", result), "--dataset", "Kinetics-600")
    (shown,) = [text for text in answer.out.splitlines() if "84.57" in text]
    assert "SSW-GAN, capoeira" in shown
    assert "here 90.2500" in shown


def test_rows_outside_of_the_tables() -> None:
    """Of TrIVD-GAN's appendices and DVD-GAN's, read in the papers by eye."""
    found = {(row.printed_by, row.where, row.value, row.split) for row in published()}
    for value, where, split in (
        (330, "D.3", "val"),
        (64.2, "E.1", "val"),
        (55.0, "E.1", "val"),
        (51.8, "F.1", "train"),
        (62.7, "F.1", "train"),
    ):
        assert ("TrIVD-GAN", where, value, split) in found
    assert {("DVD-GAN", "C", 110.05, None), ("DVD-GAN", "C", 1.22, "train")} <= found
    assert len([row for row in published() if row.category and row.protocol]) == 20


def test_published_numbers_of_another_stride_stand_apart() -> None:
    """DVD-GAN skips every other frame; SSW-GAN's windows of 12 frames are four frames apart, CVG's two."""

    def found(stride: int) -> set[str]:
        clips = {"source__frames": 12, "source__stride": stride, "source__size": 128}
        return {row.model for row in beside(line("fid-k600-avgpool", **clips), "Kinetics-600", "train")}

    assert found(1) == set()
    assert found(2) == {"DVD-GAN", "DVD-GAN 12 frames", "CVG, two levels"}
    assert found(4) == {"SSW-GAN, window of 12"}
    # Files that are compared with no real clips do not tell their stride.
    files = line("is-k400", source__frames=12, source__stride=1, source__size=128, sampling=None)
    assert {row.stride for row in beside(files, "Kinetics-600")} == {2, 4}


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


def test_the_table(tmp_path: Path, capsys: Capture) -> None:
    a = write(
        tmp_path / "a.jsonl", line("is-k600", 50.5, source__frames=12, source__size=64), line("psd", 0.25)
    )
    b = write(tmp_path / "b.jsonl", line("is-k600", 60.25, source__frames=48, source__size=64))
    answer = vidgan(capsys, "compare", a, b, "--dataset", "Kinetics-600")
    assert answer.status == 0
    first, apart, psd = answer.out.strip().split("\n\n")
    assert "50.5000" in first
    assert "61.1" in first
    assert "97.62" not in first
    assert "source.frames: 12 -> 48" in apart
    assert "60.2500" in apart
    assert "97.62" in apart
    assert "DVD-GAN, Table 1" in apart
    assert "0.2500" in psd
    assert "published" not in psd
    unsaid = vidgan(capsys, "compare", a).out
    assert "61.1" not in unsaid
    assert "--dataset" in unsaid
    changed = write(tmp_path / "c.jsonl", line("is-k600", source__frames=12, source__size=64, clips=10))
    said = vidgan(capsys, "compare", changed, "--dataset", "Kinetics-600").out
    assert "clips: 50000 -> 10" in said
    assert "61.1" not in said


def test_columns_stand_below_each_other(tmp_path: Path, capsys: Capture) -> None:
    results = (line("is-k400") | {"step": step} for step in (7, 100_000))
    named = [write(tmp_path / f"{number}.jsonl", result) for number, result in enumerate(results)]
    rows = vidgan(capsys, "compare", *named).out.splitlines()
    (head,) = (row for row in rows if "sampling" in row)
    assert {row.find("sigma") for row in rows if "sigma" in row} == {head.index("sampling")}


def test_a_warning_of_several_results_is_said_once(tmp_path: Path, capsys: Capture) -> None:
    few = line("psd") | {"warnings": ["too few clips"]}
    a, b = write(tmp_path / "a.jsonl", few, few), write(tmp_path / "b.jsonl", few)
    said = [row for row in vidgan(capsys, "compare", a, b).out.splitlines() if "!" in row]
    assert said == [f"  ! {a}, {b}: too few clips"]


def test_warnings_that_differ_in_their_numbers_are_one() -> None:
    def entry(name: str, *warnings: str) -> Entry:
        return Entry(name, {"warnings": list(warnings)})

    one, two, same = (
        "halves are 0.25 apart; the number is 1e-05",
        "halves are 3 apart; the number is 4.5",
        "odd",
    )
    found = warnings_of([entry("a", one, same), entry("b", two, same), entry("a", two)])
    assert found == {f"{one} (the first one's numbers)": ["a", "b"], same: ["a", "b"]}


def test_runs_that_differ_in_their_seed_have_a_mean(tmp_path: Path, capsys: Capture) -> None:
    values = {"a": (0, 1.0), "b": (1, 2.0), "c": (2, 6.0)}
    for name, (seed, value) in values.items():
        training = demo().training.replace(seed=seed)
        run = make_run(tmp_path / name, demo().replace(training=training))
        run.metrics.append({**line("psd", 77.0), "step": 10})
        run.metrics.append({**line("psd", value), "step": 20})
    other = make_run(tmp_path / "other", demo().replace(conditional=False))
    other.metrics.append({**line("psd", 50.0), "step": 20})
    answer = vidgan(capsys, "compare", *(tmp_path / name for name in [*values, "other"]))
    assert answer.status == 0, answer.err
    (mean,) = [row for row in answer.out.splitlines() if "mean of" in row]
    assert "mean of 3 runs, demo" in mean
    assert mean.split()[5:10] == ["3.0000", "2.6", "(training", "runs)", "20"]


def test_bad_input(tmp_path: Path, capsys: Capture) -> None:
    require_one_line(vidgan(capsys, "compare"), "name what to compare")
    require_one_line(vidgan(capsys, "compare", tmp_path / "none"), "no results")
    foreign = tmp_path / "x.jsonl"
    foreign.write_text("{not json\n")
    require_one_line(vidgan(capsys, "compare", foreign), "x.jsonl")
    foreign.write_text('{"a": 1}\n')
    require_one_line(vidgan(capsys, "compare", foreign), "holds no results")
    good = write(tmp_path / "a.jsonl", line("psd"))
    require_one_line(vidgan(capsys, "compare", good, "--protocol", "psdd"), "did you mean 'psd'")
    require_one_line(vidgan(capsys, "compare", good, "--protocol", "is-k400"), "no results of is-k400")
    require_one_line(vidgan(capsys, "compare", good, "--dataset", "UCF-100"), "did you mean 'UCF-101'")
