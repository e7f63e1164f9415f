"""How features move in a model whose units warp: continuations over their motion fields (Luc et al. 2020, 4.4)."""

from vidgan.report.collect import Collected
from vidgan.report.pictures import image
from vidgan.report.words import count, number, resuming


def motion(shown: Collected) -> str:
    """A section with the newest continuations over their motion; nothing where no unit warps."""
    level = shown.run.experiment.levels[0]
    if not (level.context_frames and level.generator.warps):
        return ""
    return f"<section>\n<h2>Motion</h2>\n{newest(shown)}\n</section>"


def newest(shown: Collected) -> str:
    """The clips with a word about their colours, or what is missing."""
    found = shown.motion
    if found is None:
        every = count(shown.run.experiment.reporting.samples, "step")
        return (
            f'<p class="missing">No motion yet: training writes it every {every} and at its end; '
            f"{resuming(shown.record)} goes on.</p>"
        )
    text = f"continuations over their motion at step {found.step}"
    return (
        f"<figure>{image(found.picture, text, found.picture.width)}"
        f"<figcaption class=note>Step {number(found.step)}: the first fixed latents, and under each frame that was "
        "made where its features came from, by the expected displacement under the kernels of all units, coarse to "
        "fine. The hue is the direction (red to the right, yellow-green down, cyan to the left, violet up), full "
        f"colour is {number(found.fastest, 3)} pixels per frame, white is rest; given frames stand over grey."
        "</figcaption></figure>"
    )
