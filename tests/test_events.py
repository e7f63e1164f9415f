"""What TensorBoard is given, read back by TensorBoard."""

import io
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import catalog
from commands import require_one_line, vidgan
from vidgan.run.logs import read_lines
from vidgan.train.state import TrainState
from vidgan.train.tensorboard import TensorBoardTracker

Capture = pytest.CaptureFixture[str]
TRAIN = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--tracker", "tensorboard")


def fail(*args: object) -> None:
    raise ConnectionError("gone")


@pytest.mark.slow
def test_scalars_histograms_and_animations(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    assert vidgan(capsys, *TRAIN, "--out", out, "--steps", 2).status == 0
    with monkeypatch.context() as patch:
        patch.setattr(TensorBoardTracker, "scalars", fail)
        answer = vidgan(capsys, *TRAIN, "--out", out, "--steps", 3, "--resume")
    assert answer.status == 0
    assert "--tracker tensorboard failed and is left out from here on: ConnectionError: gone" in answer.err
    assert vidgan(capsys, *TRAIN, "--out", out, "--steps", 4, "--resume").status == 0  # sends what was missed
    seen = accumulator.EventAccumulator(
        str(out / "tensorboard" / "level1"), size_guidance={"histograms": 0, "images": 0}
    )
    seen.Reload()
    lines = read_lines(out / "log.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for name in lines[-1]["scalars"]:
        logged = {line["step"]: v for line in lines if (v := line["scalars"][name]) is not None}
        written = {event.step: event.value for event in seen.Scalars(name)} if logged else {}
        assert written == pytest.approx(logged, rel=1e-6), name
    for discriminator in ("frames", "clip"):
        for kind in ("real", "fake"):
            histograms = seen.Histograms(f"discriminator/{discriminator}/{kind} scores")
            assert [event.step for event in histograms] == [1, 2, 4]
            assert histograms[-1].histogram_value.num >= 3  # a score per clip at least
    image = seen.Images("samples")[-1]
    with Image.open(io.BytesIO(image.encoded_image_string)) as animation:
        assert animation.format == "GIF"
        assert animation.n_frames > 1
        assert animation.size == (image.width, image.height)


def test_without_tensorboard_one_line_says_what_to_install(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    answer = vidgan(capsys, *TRAIN, "--out", tmp_path / "run", "--steps", 1)
    require_one_line(answer, "vidgan[log]")


def test_histograms_are_of_the_last_update_of_the_discriminators() -> None:
    """Real clips, then fakes; in the generator's update the discriminators stand still."""
    state = TrainState(catalog.experiments()["demo"], 0, torch.device("cpu"))
    head, events = state.level.discriminator("frames").head, TensorBoardTracker()
    events._scores = {"frames": []}
    record = events._recorder("frames")
    for value in (1, 2, 3, 4):
        record(head, (), torch.tensor([value]))
    head.requires_grad_(False)
    record(head, (), torch.tensor([5]))
    assert [scores.item() for scores in events._scores["frames"]] == [3, 4]
