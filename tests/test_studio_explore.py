"""What the page Explore shows, without Gradio: the very clips that the library makes, and one line for what is odd."""

import base64
import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import runs
import vidgan
from commands import vidgan as command
from pages import Page
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.model import Model
from vidgan.sample.video_io import to_bytes, write_clip
from vidgan.studio import explore
from vidgan.studio.clips import beside, webp
from vidgan.studio.explore import ALL, Asked, Pin
from vidgan.studio.served import Served

CLASSES = ("disc", '<b>bold & "co"')


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    runs.untrained(folder / "runs" / "demo", tiny(preset("demo")), CLASSES)
    return folder


@pytest.fixture(scope="module")
def model(place: Path) -> Model:
    return vidgan.load(place / "runs" / "demo")


def pictures(html: str) -> list[tuple[str, NDArray[np.uint8]]]:
    """Alternative text and pixels of every image; of a moving one its first frame."""
    found = []
    page = Page()
    page.feed(html)
    for image in page.root.all("img"):
        bytes = base64.b64decode(image.attributes["src"].removeprefix("data:image/webp;base64,"))
        found.append((image.attributes["alt"], np.asarray(Image.open(io.BytesIO(bytes)).convert("RGB"))))
    return found


def frames_of(picture: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """The frames that stand side by side, two pixels apart."""
    side = picture.shape[0]
    return np.stack([picture[:, i * (side + 2) :][:, :side] for i in range(count)])


def test_clips_are_those_of_the_library(model: Model) -> None:
    shown = pictures(explore.sample(model, Asked(count=3, seed=5, sigma=0.5, still=True)))
    made = to_bytes(model.sample(3, seed=5, sigma=0.5)).numpy()
    assert [text for text, _ in shown] == [
        f"clip {i}, {CLASSES[i % 2]}, frames from left to right" for i in range(3)
    ]
    for (_, picture), clip in zip(shown, made, strict=True):
        assert np.array_equal(frames_of(picture, len(clip)), clip)


def test_the_command_shown_writes_the_same_clips(
    model: Model,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Asked(CLASSES[1], count=2, seed=5, sigma=0.5, frames=2 * model.experiment.levels[0].frames)
    program, *words = shlex.split(explore.command_of(str(place / "runs" / "demo"), model, asked))
    assert program == "vidgan"
    monkeypatch.chdir(tmp_path)
    answer = command(capsys, *words, "--format", "npy", "--device", "cpu")
    assert answer.status == 0, answer.err
    made = to_bytes(model.sample(2, [CLASSES[1]], 5, 0.5, frames=asked.frames)).numpy()
    for path, clip in zip(sorted((tmp_path / "clips").glob("*.npy")), made, strict=True):
        assert np.array_equal(np.load(path), clip)


def test_one_class_and_a_longer_video(model: Model) -> None:
    frames = 2 * model.experiment.levels[-1].frames
    ((text, picture),) = pictures(
        explore.sample(model, Asked(CLASSES[1], count=1, frames=frames, still=True))
    )
    made = to_bytes(model.sample(1, CLASSES[1], frames=frames)).numpy()
    assert text.startswith(f"clip 0, {CLASSES[1]}")
    assert np.array_equal(frames_of(picture, frames), made[0])


def test_moving_clips_have_all_frames_and_repeat() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (7, 16, 24, 3), dtype=np.uint8)
    image = Image.open(io.BytesIO(webp(clip)))
    assert (image.n_frames, image.size, image.info["loop"]) == (7, (24, 16), 0)  # type: ignore[attr-defined]


def test_two_pins_stay_and_a_second_press_lets_go(model: Model) -> None:
    first = explore.pinned(model, Asked(seed=1), 1, [])
    assert first == [Pin(1, 1, 1)]
    both = explore.pinned(model, Asked(seed=2), 0, first)
    assert both == [Pin(1, 1, 1), Pin(2, 0, 0)]
    assert explore.pinned(model, Asked(CLASSES[1], seed=2), 3, both) == [Pin(2, 0, 0), Pin(2, 3, 1)]
    assert explore.pinned(model, Asked(seed=1), 1, both) == [Pin(2, 0, 0)]
    assert (
        explore.words_of(both, model)
        == f"Pinned: clip 1 of seed 1 ({CLASSES[1]}) and clip 0 of seed 2 (disc)."
    )


def test_the_way_between_pins_begins_and_ends_at_them(model: Model) -> None:
    pins = [Pin(1, 1, 1), Pin(2, 4, 0)]
    shown = [picture for _, picture in pictures(explore.between(model, Asked(still=True), pins, 4))]
    length = model.experiment.levels[-1].frames
    ends = [model.sample(1, [1], 1, first=1), model.sample(1, [0], 2, first=4)]
    for picture, end in zip((shown[0], shown[-1]), ends, strict=True):
        difference = frames_of(picture, length).astype(int) - to_bytes(end)[0].numpy()
        assert abs(difference).max() <= 1  # made in passes of other sizes
    assert len(shown) == 4
    assert not np.array_equal(shown[1], shown[2])


def test_levels_stand_side_by_side_in_time() -> None:
    low = np.arange(2, dtype=np.uint8)[:, None, None, None] * np.ones((2, 2, 2, 3), np.uint8)
    high = 10 + np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((4, 5, 5, 3), np.uint8)
    both = beside([low, high])
    assert both.shape == (4, 5, 4 + 2 + 5, 3)
    assert both[:, 0, 0, 0].tolist() == [0, 0, 1, 1]
    assert both[:, 4, 0, 0].tolist() == [0, 0, 0, 0]  # twice two pixels do not fill five
    assert both[:, 2, -1, 0].tolist() == [10, 11, 12, 13]


ODD = (
    Asked(label="none"),
    Asked(label=["disc"]),
    Asked(label={"a": 1}),
    Asked(label="../../etc/passwd"),
    Asked(seed=-1),
    Asked(seed=1.5),
    Asked(seed="1"),
    Asked(seed=None),
    Asked(seed=10**30),
    Asked(seed=True),
    Asked(seed=10**400),
    Asked(count=-(10**400)),
    Asked(sigma=float("nan")),
    Asked(sigma=float("inf")),
    Asked(sigma=-0.1),
    Asked(sigma=3),
    Asked(sigma="x"),
    Asked(count=0),
    Asked(count=33),
    Asked(count=1e9),
    Asked(count=[1]),
    Asked(frames=1),
    Asked(frames=10**9),
    Asked(frames="4"),
    Asked(frames=4.5),
)


@pytest.mark.parametrize("asked", ODD, ids=str)
def test_odd_values_are_one_line(model: Model, asked: Asked) -> None:
    with pytest.raises(UserError) as fault:
        explore.sample(model, asked)
    assert "\n" not in str(fault.value)
    assert len(str(fault.value)) < 300


@pytest.mark.parametrize("number", [None, -1, 32, "0", 0.5, {}])
def test_only_clips_on_the_page_are_pinned(model: Model, number: Any) -> None:
    with pytest.raises(UserError):
        explore.pinned(model, Asked(), number, [])


@pytest.mark.parametrize(("pins", "points"), [(0, 6), (1, 6), (2, 1), (2, 13), (2, "x"), (2, None)])
def test_interpolation_wants_two_pins_and_some_points(model: Model, pins: int, points: Any) -> None:
    with pytest.raises(UserError):
        explore.between(model, Asked(), [Pin(0, 0, 0), Pin(0, 1, 1)][:pins], points)


def test_more_than_a_page_shows_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    top = model.experiment.levels[-1]
    monkeypatch.setattr(explore, "MOST_VALUES", 3 * 2 * top.frames * top.size**2)
    explore.require_small(2, None, model)
    with pytest.raises(UserError, match="more than a page can show"):
        explore.require_small(3, None, model)


def test_names_stand_for_what_is_in_the_folders_and_for_nothing_else(place: Path, tmp_path: Path) -> None:
    other = runs.make_run(tmp_path / "other").path
    (place / "runs" / "link").symlink_to(other)
    (place / "runs" / "inside").symlink_to("demo")
    served = Served([str(place / "runs")])
    try:
        assert set(served.runs()) == {f"{place}/runs/demo", f"{place}/runs/inside"}
        for name in (f"{place}/runs/link", str(other), f"{place}/runs/../runs/demo", "", None, 3, ["a"]):
            with pytest.raises(UserError, match=r"there is no model|choose a model first"):
                served.model(name)  # type: ignore[arg-type]
    finally:
        (place / "runs" / "link").unlink()
        (place / "runs" / "inside").unlink()


def test_a_model_is_loaded_once_and_again_when_its_run_has_gone_on(place: Path) -> None:
    name = str(place / "runs" / "demo")
    served = Served([name])
    first = served.model(name)
    assert served.model(name) is first
    file = next((place / "runs" / "demo" / "checkpoints").glob("*.safetensors"))
    file.touch()
    assert served.model(name) is not first


def test_only_so_many_models_are_held(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidgan.studio.served.KEPT", 1)
    runs.untrained(tmp_path / "b", tiny(preset("demo")))
    names = [str(place / "runs" / "demo"), str(tmp_path / "b")]
    served = Served(names)
    first = served.model(names[0])
    served.model(names[1])
    assert served.model(names[0]) is not first


def test_missing_folders_are_named() -> None:
    with pytest.raises(UserError, match="there is no folder runs/none"):
        Served(["runs/none"])


def test_classes_are_not_offered_where_there_are_none(tmp_path: Path) -> None:
    experiment = tiny(preset("demo")).replace(conditional=False)
    run = runs.untrained(tmp_path / "run", experiment, ("all",))
    free = vidgan.load(run.path)
    assert explore.facts(free).classes == ()
    ((text, _),) = pictures(explore.sample(free, Asked(ALL, count=1)))
    assert text == "clip 0"
    with pytest.raises(UserError):
        explore.sample(free, Asked("all", count=1))
    assert torch.equal(free.sample(1), free.sample(1))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Model:
    experiment = tiny(preset("trivd-gan-fp-k600-16x64"))
    run = runs.untrained(tmp_path_factory.mktemp("studio-predictor") / "run", experiment, ("all",))
    data = SyntheticDataset(SyntheticSpec(size=32, frames=12, clips=4))
    return vidgan.load(run.path, data=data, device="cpu")


def test_futures_follow_the_given_frames_after_what_really_followed(predictor: Model) -> None:
    served, level = Served([]), predictor.experiment.levels[0]
    asked = Asked(count=2, seed=3, still=True)
    source = explore.of_dataset(served, predictor, "synthetic", 5, 0, asked)
    shown = pictures(explore.futures(predictor, asked, source))
    assert [text.partition(" of ")[0] for text, _ in shown] == [
        "what really followed in clip 5, frames from left to right",
        "future 0",
        "future 1",
    ]
    given = torch.from_numpy(source.given).permute(0, 3, 1, 2) / 127.5 - 1
    made = to_bytes(predictor.predict(given, 2, seed=3)).numpy()
    for (_, picture), clip in zip(shown[1:], made, strict=True):
        frames = frames_of(picture, level.context_frames + level.frames)
        assert np.array_equal(frames[: level.context_frames], source.given)
        assert abs(frames[level.context_frames :].astype(int) - clip).max() <= 1


def test_a_video_of_ones_own_is_continued(predictor: Model, tmp_path: Path) -> None:
    level = predictor.experiment.levels[0]
    clip = SyntheticDataset(SyntheticSpec(size=level.size, frames=40, clips=1)).read(0, 0, 40)
    write_clip(tmp_path / "own.webp", clip, 8.0)
    source = explore.uploaded(predictor, str(tmp_path / "own.webp"), 2, Asked())
    assert np.array_equal(source.given, clip[2 :: level.stride][: level.context_frames])


@pytest.mark.parametrize(
    "kind", ["missing.mp4", "text.mp4", "code.py", "link.mp4", "folder.mp4", "", None, 3, ["a"]]
)
def test_what_is_no_video_is_one_line(predictor: Model, tmp_path: Path, kind: Any) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "code.py").write_text("print()")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "text.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError) as fault:
        explore.uploaded(
            predictor, str(tmp_path / kind) if isinstance(kind, str) and kind else kind, 0, Asked()
        )
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("name", "clip", "start"),
    [
        ("none", 0, 0),
        ("synthetic", -1, 0),
        ("synthetic", 10**9, 0),
        ("synthetic", 0, 10**7),
        ("synthetic", "0", 0),
    ],
)
def test_only_clips_that_are_there_are_continued(predictor: Model, name: str, clip: Any, start: int) -> None:
    with pytest.raises(UserError):
        explore.of_dataset(Served([]), predictor, name, clip, start, Asked())


def test_so_many_futures_and_no_more(predictor: Model) -> None:
    source = explore.of_dataset(Served([]), predictor, "synthetic", 0, 0, Asked())
    for asked in (Asked(count=9), Asked(count=0), Asked(frames=0), Asked(frames=10**6)):
        with pytest.raises(UserError):
            explore.futures(predictor, asked, source)
