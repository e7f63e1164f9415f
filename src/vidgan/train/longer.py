"""Videos of another length of a finished model, rehearsed on the meta device as :mod:`vidgan.train.phases` does."""

from vidgan.errors import UserError
from vidgan.models.cascade import chunks_of, require_chunks
from vidgan.run.experiment import Experiment
from vidgan.sample.model import unrolled
from vidgan.sample.passes import Trained, clips_in_memory
from vidgan.train.phases import Phase, sample_pass, sampling, statistics_pass, statistics_phase, together
from vidgan.train.plan import META, size_of, untrained_levels


def with_longer_videos(experiment: Experiment, frames: int, chunk: int | None = None) -> Experiment:
    """``experiment`` as its finished model makes videos of ``frames`` frames.

    Args:
        chunk: frames that levels above the first make at a time; None: all at once.

    Raises:
        UserError: where the model makes no such videos, or not in chunks.
    """
    if experiment.levels[0].context_frames:
        raise UserError("a model that continues videos makes longer ones in rounds of its own length")
    longer = unrolled(experiment, frames)
    if chunk is not None:
        require_chunks(longer.levels)
    return longer


def longer_statistics(trained: Trained, frames: int, chunk: int | None = None) -> Phase | None:
    """The standing statistics of all levels for videos of ``frames`` frames, taken in one process before the first of
    them; None for those of the trained length, which a finished run has.

    Args:
        chunk: as in :func:`with_longer_videos`, which is called.

    Raises:
        UserError: as there.
    """
    if frames == trained.experiment.levels[-1].frames:
        return None
    experiment = with_longer_videos(trained.experiment, frames, chunk)
    levels = untrained_levels(experiment, len(experiment.levels), META)
    weights = sum(size_of(level.generator) for level in levels)
    own = []
    for index in range(len(levels)):
        steps = max(each.steps for each in chunks_of(experiment.levels, index, chunk))
        passed, most = (
            statistics_pass(trained, levels[: index + 1], chunk),
            clips_in_memory(trained, index, steps),
        )
        spec = experiment.training.standing_statistics
        own.append(statistics_phase(passed, most, spec, weights, processes=1))
    return together(own)._replace(name=f"statistics, {frames} frames")


def longer_sampling(trained: Trained, frames: int, chunk: int | None = None) -> Phase:
    """Making one pass of videos of ``frames`` frames in one process, of one clip where it is in chunks.

    Args:
        chunk: as in :func:`with_longer_videos`, which is called.

    Raises:
        UserError: as there.
    """
    experiment = with_longer_videos(trained.experiment, frames, chunk)
    levels = untrained_levels(experiment, len(experiment.levels), META)
    return sampling(trained, levels, sample_pass(experiment, levels, chunk), chunk)
