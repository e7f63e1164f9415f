"""What ``--data`` names: built-in clips, plain or textured."""

from pathlib import Path

import numpy as np
import pytest

from commands import require_one_line, vidgan
from vidgan.data.synthetic import SyntheticDataset
from vidgan.presets.demo import demo
from vidgan.run.data import open_data, open_held_out


def test_textured_clips_are_built_in_too() -> None:
    plain = open_data("synthetic", demo())
    textured = open_data("synthetic-textured", demo())
    assert isinstance(textured, SyntheticDataset)
    assert textured.spec.textured
    assert textured.source == "synthetic-textured"
    assert textured.fingerprint != plain.fingerprint
    held_out = open_held_out("synthetic-textured", demo())
    assert isinstance(held_out, SyntheticDataset)
    assert held_out.spec == textured.spec.replace(seed=held_out.spec.seed)
    first, other = (data.read(0, 0, 4) for data in (textured, held_out))
    assert first.shape == (4, 24, 24, 3)
    assert not np.array_equal(first, other)


def test_data_of_ones_own_are_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = f"{tmp_path / 'own.py'}:clips"
    (tmp_path / "own.py").write_text(
        "import numpy as np\nclips = [(np.full((4, 8, 10, 3), n, np.uint8), 0) for n in range(5)]\n"
    )
    require_one_line(vidgan(capsys, "inspect", own, "--skip-checksums"), "no checksums")
    answer = vidgan(capsys, "inspect", own, "--contact-sheet", tmp_path / "sheet.png")
    assert answer.status == 0, answer.err
    assert "5 clips, 20 frames, 1 class" in answer.out
    assert (tmp_path / "sheet.png").is_file()
    answer = vidgan(capsys, "inspect", own, "--frames", 5)
    assert (answer.status, "5 of 5 clips hold no window of 5 frames" in answer.out) == (2, True)
    answer = vidgan(capsys, "inspect", "synthetic")
    assert (answer.status, "8 classes" in answer.out) == (0, True)
