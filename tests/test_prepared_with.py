"""What ``vidgan inspect`` says a dataset was prepared with are options that ``vidgan prepare`` takes."""

from pathlib import Path
from typing import Any

import pytest

from commands import vidgan
from vidgan.cli import prepare
from vidgan.cli.prepare import options_for
from vidgan.data.codecs import CODECS
from vidgan.data.prepare import prepare_spec
from vidgan.data.store import LAYOUTS, PrepareSpec

SPECS = [
    *(PrepareSpec(layout=kind(), size=48) for kind in LAYOUTS.values()),
    *(PrepareSpec(codec=kind(), resize="area") for kind in CODECS.values()),
    prepare_spec("ucf101", "test02", 64, "bilinear", "jpeg", 71, 12.5, 0.1),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: " ".join(options_for(spec)))
def test_the_options_give_the_spec_again(
    spec: PrepareSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def instead(source: object, dest: Path, made: PrepareSpec, *rest: Any) -> None:
        asked.append(made)
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "prepare_by", instead)
    answer = vidgan(capsys, "prepare", tmp_path, tmp_path / "made", *options_for(spec))
    assert (answer.status, asked) == (130, [spec]), answer.err
