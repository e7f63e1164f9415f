"""evaluation/published.json against a second transcription of the papers' tables, cell by cell."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from commands import vidgan
from vidgan.evaluation.results import Published, published
from vidgan.presets import preset, presets
from vidgan.report.scores import MEASURED

ROOT = Path(__file__).parents[1]
AUTHORS = {
    "DVD-GAN": "Clark et al. 2019",
    "TrIVD-GAN": "Luc et al. 2020",
    "SSW-GAN": "SSW-GAN",
    "CVG": "CVG",
    "Guide": "Du 2020",
}
KINDS = {"IS": "is-", "FID": "fid-", "FVD": "fvd-"}
TEXT_SAYS = {"50": 48}
"""frames of CVG's Table 3 that its text ("to generate full-length 48 frame videos") corrects"""
ALIASES = {
    "mocogan-like k=1": "MoCoGAN-like k=1",
    "without normalisation in the residual blocks": "DVD-GAN without Batch Normalization in the residual blocks",
    "plain projection": "projection discriminator, width 48, 700,000 steps",
    "mixed projection": "mixed projection discriminator, width 48, 700,000 steps",
}


class Cell(NamedTuple):
    """A printed number."""

    paper: str
    where: str
    row: str
    column: str
    text: str

    @property
    def value(self) -> float:
        return float(self.text.split(" ± ")[0])

    @property
    def deviation(self) -> float | None:
        return float(self.text.split(" ± ")[1]) if " ± " in self.text else None

    @property
    def kind(self) -> str | None:
        """IS, FID or FVD; None for what is not a score."""
        return next((kind for kind in KINDS if kind in self.column.split()), None)


def transcription() -> list[Cell]:
    cells: list[Cell] = []
    for block in (ROOT / "tests/vectors/paper_tables.txt").read_text().split("\n\n")[1:]:
        title, head, *rows = block.strip().splitlines()
        paper, where = title.strip("[]").split(" | ")
        _, *columns = head.split(" | ")
        for line in rows:
            name, *texts = line.split(" | ")
            assert len(texts) == len(columns), line
            cells += [
                Cell(paper, where, name, column, text)
                for column, text in zip(columns, texts, strict=True)
                if text != "-"
            ]
    return cells


CELLS = transcription()


def plain(text: str) -> str:
    """A name without spelling: how the papers and the file write the same model differs in signs alone."""
    return re.sub(r"[^a-z0-9+=]", "", text.lower().replace("(ours)", ""))


def matches(cell: Cell, row: Published) -> bool:
    """Whether a row of the file is this cell, by everything but its number."""
    if (row.printed_by, row.where) != (cell.paper, cell.where) or cell.kind is None:
        return False
    if row.protocol is not None and not row.protocol.startswith(KINDS[cell.kind]):
        return False
    if row.protocol is None and cell.kind not in (row.note or ""):
        return False
    counted = re.match(r"(\d+) frames", cell.column)
    if counted and row.frames != (TEXT_SAYS if cell[:2] == ("CVG", "Table 3") else {}).get(
        counted[1], int(counted[1])
    ):
        return False
    form = None if cell.paper == "CVG" else re.search(r"(\d+)/(\d+)x\2", cell.row)
    if form and (row.frames, row.size) != (int(form[1]), int(form[2])):
        return False
    if "truncation" in cell.column.lower() and row.truncated != ("with" in cell.column):
        return False
    for split in ("training", "test", "original", "balanced"):
        wanted = {"training": "train", "original": "test", "balanced": "balanced-test"}.get(split, split)
        if cell.column.startswith(split) and row.split != wanted:
            return False
    return model_of(cell) in (plain(row.model), row.category and plain(row.category))


def model_of(cell: Cell) -> str:
    """The name that the file has for the model of a cell."""
    paper, name = cell.paper, cell.row
    for said, here in ALIASES.items():
        if name.lower().startswith(said):
            return plain(here)
    if paper == "DVD-GAN" and cell.where == "Table 1":
        return plain("DVD-GAN")
    if paper == "TrIVD-GAN" and cell.where == "Table 1" and name == "DVD-GAN-FP":
        return plain("DVD-GAN-FP (theirs)")
    if paper == "TrIVD-GAN" and cell.where == "C.2":
        return plain(name.replace("Kinetics", "Kinetics-600"))
    if paper == "TrIVD-GAN" and cell.where == "F.1":
        return plain(name.replace("180K", "180,000"))
    if paper == "SSW-GAN" and name.startswith("Ours - Stage 2 trained on"):
        return plain(f"SSW-GAN, window of {name.split()[-2]}")
    if "our reimpl." in name:
        return plain("DVD-GAN, reimplemented")
    if found := re.match(r"(?:Kinetics-600|BDD100K) (.*)", name):
        return plain(found[1])
    if paper == "CVG" and cell.where == "Table 1":
        return plain(
            "CVG, two levels" if "CVG" in name else f"DVD-GAN {name.split()[1].split('/')[0]} frames"
        )
    if paper == "CVG" and cell.where == "Table 4":
        return plain(f"CVG, {name} window")
    return plain("DVD-GAN of the thesis" if paper == "Guide" else name)


def data_of(cell: Cell) -> str | None:
    return next((name for name in ("Kinetics-600", "BDD100K") if cell.row.startswith(name)), None)


SCORES = [cell for cell in CELLS if cell.kind is not None]


def test_every_printed_score_stands_in_the_file_once_and_nothing_else_does() -> None:
    left = list(published())
    for cell in SCORES:
        found = [row for row in left if matches(cell, row) and data_of(cell) in (None, row.data)]
        assert len(found) == 1, (cell, found)
        assert (found[0].value, found[0].deviation) == (cell.value, cell.deviation), (cell, found[0])
        left.remove(found[0])
    assert left == []
    assert len(SCORES) > 170


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.column == "K"], ids=lambda cell: cell.row)
def test_the_budgets_of_trivd_gans_table_1_are_the_presets_steps(cell: Cell) -> None:
    (name,) = {row.preset for row in published() if any(matches(cell._replace(column=k), row) for k in KINDS)}
    assert name is not None
    assert preset(name).training.steps == 1000 * cell.value


def test_printed_costs_are_those_of_the_pages_about_costs() -> None:
    """Milliseconds and gigabytes as ratios to DVD-GAN-FP's, and SSW-GAN's Table 3."""
    page = (ROOT / "docs/results/trivd-costs.md").read_text()
    table: list[Cell] = [c for c in CELLS if (c.paper, c.where) == ("TrIVD-GAN", "Table 1")]
    costs = {c.row: {each.column: each.value for each in table if each.row == c.row} for c in table}
    base = costs["DVD-GAN-FP"]
    for model, own in costs.items():
        asked = Cell("TrIVD-GAN", "Table 1", model, "IS", "")
        (name,) = {row.preset for row in published() if matches(asked, row)}
        assert name is not None
        (line,) = [x for x in page.splitlines() if x.startswith(f"| `{name.removeprefix('trivd-table1-')}`")]
        cells = [text.strip() for text in line.strip("|").split("|")]
        for column, place in (("ms", 2), ("GB", 5)):
            assert round(own[column] / base[column], 2) == pytest.approx(float(cells[place])), (model, column)
    page = (ROOT / "docs/results/cascade-scaling.md").read_text()
    for cell in CELLS:
        if (cell.paper, cell.where, cell.column) == ("SSW-GAN", "Table 3", "MB"):
            assert f"| {int(cell.text):,} |" in page
    of_table = [cell for cell in CELLS if (cell.paper, cell.where) == ("SSW-GAN", "Table 3")]
    days = [cell.text for cell in of_table if cell.column == "days"]
    assert f"300,000 such steps are the {days[0]}, {days[1]} and {days[2]} days that it prints" in page


def test_rows_of_classes_say_how_many_videos_there_were() -> None:
    for cell in CELLS:
        if cell.column == "videos":
            notes = [row.note for row in published() if row.category == cell.row.lower()]
            assert len(notes) == 2
            assert all(f" {cell.text} real videos" in str(note) for note in notes)


def test_presets_of_rows_are_the_papers_own() -> None:
    known = presets()
    for row in published():
        if row.preset is not None:
            assert row.cited is None
            experiment = known[row.preset]
            assert experiment.source.startswith(AUTHORS[row.printed_by]), row
            top = experiment.levels[-1]
            assert row.size == top.size
            assert row.stride in (None, top.stride)


def test_presets_print_what_their_papers_scored(capsys: pytest.CaptureFixture[str]) -> None:
    shown = vidgan(capsys, "presets", "cvg-k600-48x128-window3").out
    run = "vidgan evaluate runs/cvg-k600-48x128-window3"
    assert f"{run} --data data/k600-train --protocol is-k400 fvd-reference --weights i3d-400.pt\n" in shown
    assert f"{run} --protocol is-k400 --weights i3d-400.pt --frames 6 --random-window\n" in shown
    assert "58.21" in shown
    assert "49.44 (CVG; is-k400; Kinetics-600; 48 frames; presumed: 48" in " ".join(shown.split())
    shown = vidgan(capsys, "presets", "cvg-bdd100k-6x128").out
    assert (
        "evaluate runs/cvg-bdd100k-6x128 --data data/bdd100k-train --protocol fvd-reference --weights"
        in shown
    )
    shown = vidgan(capsys, "presets", "ssw-gan-k600-48x128").out
    assert shown.count("--clips 10000 --classes") == 2, "Table 4: a command per network, of ten classes"
    shown = vidgan(capsys, "presets", "demo").out
    assert "it prints no number" in shown
    assert "docs/results/synthesis.md" in shown


@pytest.mark.parametrize("name", MEASURED)
def test_pages_of_own_scores_name_the_preset(name: str) -> None:
    for page in MEASURED[name]:
        assert name in (ROOT / f"docs/results/{page}.md").read_text()


def test_what_a_paper_does_not_print_of_a_protocol_is_marked_as_presumed() -> None:
    """Clark et al. 2019, B.1 names no number of clips; Luc et al. 2020, C.2 no form of the clips, nor whether given
    frames are scored."""
    for row in published():
        if row.printed_by == "DVD-GAN" and row.clips is not None:
            assert "names neither a number nor the set" in str(row.presumed)
        if row.where == "C.2":
            assert "5 are given" in str(row.presumed)
        if row.printed_by == "TrIVD-GAN" and row.protocol == "is-k400":
            assert "given frames are scored too" in str(row.presumed)
    of_ten = {row.value for row in published() if row.note == "deviation over 10 training runs"}
    assert of_ten == {12.54, 25.74}  # Luc et al. 2020, 4.4 and Table 3
