"""Exported files are run by other programs and give the model's own videos, for other numbers of clips too."""

import json
from pathlib import Path

import pytest
import torch

import runs
from commands import require_one_line, vidgan
from test_folded import STRUCTURES, inputs, unfolded, untrained
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.export import NOTE, OnnxExporter, TorchExporter, export

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.mark.parametrize("name", STRUCTURES[:3])
def test_both_formats_give_the_models_videos(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra: export)")
    model = untrained(tiny(preset(name)), tmp_path)
    export(model, tmp_path / "model.pt2")
    export(model, tmp_path / "model.onnx", OnnxExporter())
    files = {NOTE: ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=files).module()
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    note = json.loads(files[NOTE])
    assert note == json.loads(session.get_modelmeta().custom_metadata_map[NOTE])
    assert note["classes"] == list(model.class_names)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.pt2", "run"}
    for clips in (1, 3):
        given = inputs(model, clips)
        wanted = unfolded(model.sampler().levels, given)
        assert list(wanted.shape[1:]) == note["video"][1:]
        assert {key: ["batch", *t.shape[1:]] for key, t in given.items()} == note["inputs"]
        with torch.no_grad():
            torch.testing.assert_close(program(*given.values()), wanted, rtol=0, atol=1e-4)
        (video,) = session.run(["video"], {key: t.numpy() for key, t in given.items()})
        torch.testing.assert_close(torch.from_numpy(video), wanted, rtol=0, atol=1e-4)
    other = inputs(model, 3) | {"label": (inputs(model, 3)["label"] + 1) % model.experiment.classes}
    assert (
        model.experiment.classes == 1 or (unfolded(model.sampler().levels, other) - wanted).abs().max() > 1e-3
    )


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.untrained(tmp_path / "run", tiny(preset("demo")), ("a", "b")).path
    answer = vidgan(capsys, "export", run, "--out", tmp_path / "model.pt2", "--device", "cpu", "--sigma", 0.5)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith(f"wrote {tmp_path / 'model.pt2'}")
    files = {NOTE: ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=files)
    assert json.loads(files[NOTE])["statistics_deviation"] == 0.5
    for options, words in (
        (["--out", tmp_path / "model.pt2", "--format", "onnx"], "must end in .onnx"),
        (["--out", tmp_path / "model.pt2"], "exists"),
        (["--out", tmp_path / "model.onn"], "must end in .pt2 or .onnx"),
        (["--out", tmp_path / "none" / "model.pt2"], "is not a folder"),
        (["--out", tmp_path / "none" / "model.onnx"], "is not a folder"),
        (["--out", tmp_path / "b.pt2", "--sigma", -1], "sigma must be at least 0"),
        (["--out", tmp_path / "b.pt2", "--frames", 1], "frames must be at least"),
    ):
        require_one_line(vidgan(capsys, "export", run, *options), words)
    assert not (tmp_path / "b.pt2").exists()


def test_suffixes_say_the_format(tmp_path: Path) -> None:
    model = untrained(tiny(preset("demo")), tmp_path)
    with pytest.raises(UserError, match=r"must end in \.pt2"):
        export(model, tmp_path / "model.onnx", TorchExporter())
