"""Videos of another length than the trained one."""

from vidgan.errors import UserError
from vidgan.run.experiment import Experiment


def unrolled(experiment: Experiment, frames: int) -> Experiment:
    """``experiment`` with videos of ``frames`` frames, at least as many as it was trained on.

    Weights do not depend on the length. Recurrent units run on, attention over time sees all frames, and the statistics
    of every time step, those beyond the trained length too, are settled anew at the new length.

    Raises:
        UserError: if the model makes more frames already, or its levels cannot share ``frames``.
    """
    trained = experiment.levels[-1].frames
    if frames < trained:
        raise UserError(
            f"--frames must be at least {trained}, the length this model was trained on, got {frames}"
        )
    ratio = trained // experiment.levels[0].frames
    if frames % ratio:
        raise UserError(f"--frames must be a multiple of {ratio}: the first level makes one frame in {ratio}")
    levels = tuple(level.replace(frames=frames * level.frames // trained) for level in experiment.levels)
    return experiment.replace(levels=levels)
