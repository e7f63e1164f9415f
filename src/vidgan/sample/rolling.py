"""Rolling on: a frame-conditional model continues its own continuation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.sample.latents import Scaled, Truncation
from vidgan.sample.trained import Continued, Trained, continue_moving
from vidgan.seeds import derive


def roll_on(
    model: Trained,
    given: Tensor,
    frames: int,
    seed: int,
    clips: Sequence[int],
    truncation: Truncation = Scaled(),
) -> Tensor:
    """``frames`` frames (n frames 3 H W) in [-1, 1] after conditioning frames, one future per number in ``clips``.

    The model makes its trained length each time, with the statistics settled for that length, and is then given the
    last frames of what there is by then: made ones, and given ones where it makes fewer than it takes. Each time has
    noise of its own; the first is what :func:`continue_clips` makes.

    Args:
        given: conditioning frames (n C 3 H W) in [-1, 1].
    """
    return roll_on_moving(model, given, frames, seed, clips, truncation).video


def roll_on_moving(
    model: Trained,
    given: Tensor,
    frames: int,
    seed: int,
    clips: Sequence[int],
    truncation: Truncation = Scaled(),
) -> Continued:
    """What :func:`roll_on` makes, with the motion of each frame since the one before."""
    level = model.levels[0].spec
    video, fields = given, []
    for turn in range(-(-frames // level.frames)):
        own = seed if turn == 0 else derive(seed, "rolling on", turn)
        # Our choice: frames are passed on as they are made, not rounded to the 256 values that data have.
        made = continue_moving(model, video[:, -level.context_frames :], own, clips, truncation)
        video = torch.cat([video, made.video], dim=1)
        if made.motion is not None:
            fields.append(made.motion)
    motion = torch.cat(fields, dim=1)[:, :frames] if fields else None
    return Continued(video[:, level.context_frames : level.context_frames + frames], motion)
