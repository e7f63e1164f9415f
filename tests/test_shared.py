"""A run that another machine has made is waited for, as network file systems show it late."""

import os
from pathlib import Path

import pytest

import catalog
from test_ending import data
from vidgan.errors import UserError
from vidgan.run import shared
from vidgan.run.directory import DataRecord, RunDirectory


def test_a_run_that_is_seen_late_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here when its folder is listed for the second time."""
    monkeypatch.setattr(shared, "PAUSE", 0.001)
    asked = catalog.experiments()["demo"].replace(classes=2)
    listed: list[Path] = []

    def listdir(folder: Path) -> list[str]:
        listed.append(folder)
        if listed.count(tmp_path) == 2 and folder == tmp_path:
            RunDirectory.create(tmp_path / "run", asked, DataRecord.of(data(asked)), ["train"])
        return []

    monkeypatch.setattr(os, "listdir", listdir)
    assert shared.open_shared(tmp_path / "run").experiment == asked
    assert listed[:3] == [tmp_path, tmp_path / "run", tmp_path]


def test_a_disk_that_is_not_shared_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PATIENCE", 0.01)
    monkeypatch.setattr(shared, "PAUSE", 0.001)
    with pytest.raises(UserError, match=r"does not see the run.*a disk that all machines share"):
        shared.open_shared(tmp_path / "run")
    assert not list(tmp_path.iterdir())
