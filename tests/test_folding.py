"""Batch and time: folding and unfolding move no memory and keep every frame with its clip."""

import pytest
import torch
from torch import Tensor

from vidgan.nn.layers import Conv2d, Conv3d
from vidgan.shapes import (
    as_frames,
    as_video,
    fold_time,
    frames_into_channels,
    from_clip,
    repeat_time,
    stack_time,
    to_clip,
    unfold_time,
)

B, T, C, H, W = 2, 3, 4, 5, 6


def numbered() -> Tensor:
    """A video in memory order B T H W C whose value at (b, t, c, h, w) says where it stands."""
    axes = torch.meshgrid(*map(torch.arange, (B, T, H, W, C)), indexing="ij")
    b, t, h, w, c = axes
    return (10000 * b + 1000 * t + 100 * c + 10 * h + w).double().permute(0, 1, 4, 2, 3)


def expected(b: int, t: int, c: int, h: int, w: int) -> float:
    return 10000 * b + 1000 * t + 100 * c + 10 * h + w


def test_folding_puts_step_t_of_clip_b_in_row_b_t_plus_t() -> None:
    frames = fold_time(numbered())
    assert frames.shape == (B * T, C, H, W)
    for b in range(B):
        for t in range(T):
            assert frames[b * T + t, 2, 3, 4] == expected(b, t, 2, 3, 4)


def test_folding_moves_no_memory() -> None:
    video = numbered()
    frames = fold_time(video)
    assert frames.data_ptr() == video.data_ptr()
    assert frames.is_contiguous(memory_format=torch.channels_last)
    back = unfold_time(frames, T)
    assert back.data_ptr() == video.data_ptr()
    assert back.stride() == video.stride()


def test_going_to_three_dimensions_and_back_moves_no_memory() -> None:
    video = numbered()
    clip = to_clip(video)
    assert clip.data_ptr() == video.data_ptr()
    assert clip.is_contiguous(memory_format=torch.channels_last_3d)
    assert clip[1, 2, 0, 3, 4] == expected(1, 0, 2, 3, 4)
    back = from_clip(clip)
    assert back.data_ptr() == video.data_ptr()
    assert back.stride() == video.stride()
    assert fold_time(back).data_ptr() == video.data_ptr()


def test_unfolding_gives_every_value_its_place_back() -> None:
    torch.testing.assert_close(unfold_time(fold_time(numbered()), T), numbered(), rtol=0, atol=0)
    torch.testing.assert_close(from_clip(to_clip(numbered())), numbered(), rtol=0, atol=0)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (1, 0, 2, 4, 3)])
def test_other_memory_orders_are_folded_to_the_same_values(order: tuple[int, ...]) -> None:
    """A video may come as B T C H W contiguous or from any permutation; only the copy differs."""
    back = tuple(order.index(axis) for axis in range(5))
    video = numbered().permute(order).contiguous().permute(back)
    torch.testing.assert_close(fold_time(video), fold_time(numbered()), rtol=0, atol=0)
    torch.testing.assert_close(to_clip(video), to_clip(numbered()), rtol=0, atol=0)


def test_plain_frames_are_unfolded_to_memory_order() -> None:
    frames = fold_time(numbered()).contiguous()
    video = unfold_time(frames, T)
    torch.testing.assert_close(video, numbered(), rtol=0, atol=0)
    assert fold_time(video).data_ptr() == video.data_ptr()


def test_what_is_in_order_is_not_copied() -> None:
    video = numbered()
    assert as_video(video).data_ptr() == video.data_ptr()
    frames = fold_time(video)
    assert as_frames(frames).data_ptr() == frames.data_ptr()


def test_convolutions_leave_results_in_order() -> None:
    """After a layer of either kind, the next change between 2-D and 3-D copies nothing either."""
    video = numbered().float()
    flat = Conv2d(C, 8)(fold_time(video))
    assert fold_time(unfold_time(flat, T)).data_ptr() == flat.data_ptr()
    assert to_clip(unfold_time(flat, T)).data_ptr() == flat.data_ptr()
    clip = Conv3d(C, 8)(to_clip(video))
    assert fold_time(from_clip(clip)).data_ptr() == clip.data_ptr()


def test_stacked_steps_are_in_time_order_and_memory_order() -> None:
    video = stack_time(list(numbered().unbind(1)))
    torch.testing.assert_close(video, numbered(), rtol=0, atol=0)
    assert fold_time(video).data_ptr() == video.data_ptr()


def test_a_repeated_frame_stays_with_its_clip() -> None:
    video = repeat_time(numbered()[:, 1], 5)
    assert video.shape == (B, 5, C, H, W)
    for b in range(B):
        for t in range(5):
            assert video[b, t, 2, 3, 4] == expected(b, 1, 2, 3, 4)


def test_frames_are_joined_on_channels_step_by_step() -> None:
    frame = frames_into_channels(numbered())
    assert frame.shape == (B, T * C, H, W)
    for t in range(T):
        for c in range(C):
            assert frame[1, t * C + c, 3, 4] == expected(1, t, c, 3, 4)
