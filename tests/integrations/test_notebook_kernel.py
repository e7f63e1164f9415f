"""The notebook in a kernel of its own, as Jupyter runs it, with the model that it loads."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(1800)
def test_a_kernel_runs_the_tour(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    (tmp_path / "examples").mkdir()
    (tmp_path / "zoo").symlink_to(ROOT / "zoo")
    tour = nbformat.read(ROOT / "examples" / "tour.ipynb", as_version=4)
    place = {"metadata": {"path": str(tmp_path / "examples")}}
    nbclient.NotebookClient(tour, timeout=900, kernel_name="python3", resources=place).execute()
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(output["data"]["image/webp"])))
        for cell in tour.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/webp" in output.get("data", {})
    ]
    # Twelve clips in two rows, six each for two deviations, six between two classes; eight of 24 pixels of the demo.
    assert [picture.size for picture in pictures] == [(384, 128), *[(384, 64)] * 3, (192, 24)]
    assert [picture.n_frames for picture in pictures] == [12, 12, 12, 12, 8]  # type: ignore[attr-defined]
