"""Generators and discriminators of video GANs, and the parts that they are made of.

What ends in ``Spec`` describes a part as plain data. A view, a head or an objective of one's own is a subclass of
:class:`ViewSpec`, :class:`HeadSpec` (with a :class:`Head`) or :class:`ObjectiveSpec`.
"""

from vidgan.models.discriminator import (
    Body,
    BodySpec,
    Discriminator,
    DiscriminatorSpec,
    Head,
    HeadSpec,
    MixedProjectionHead,
    MixedProjectionSpec,
    ProjectionHead,
    ProjectionSpec,
)
from vidgan.models.generator import (
    Below,
    Conditioning,
    Encoder,
    EncoderSpec,
    Generator,
    GeneratorSpec,
    Stage,
    StageSpec,
)
from vidgan.models.joint import JointLevels
from vidgan.models.level import AdversarialLevel, Level, LevelSpec
from vidgan.models.losses import (
    ClassMarginSpec,
    HingeEachSpec,
    HingeJoinedSpec,
    ObjectiveSpec,
    PixelLossSpec,
    RelativeHingeSpec,
    SumThenHingeSpec,
    VarietySpec,
    orthogonal_penalty,
)
from vidgan.models.views import (
    ClipShape,
    ClipSpec,
    CropSpec,
    DiscriminatorInput,
    FramesSpec,
    MatchingPairSpec,
    PackSpec,
    ViewSpec,
)

__all__ = [
    "AdversarialLevel",
    "Below",
    "Body",
    "BodySpec",
    "ClassMarginSpec",
    "ClipShape",
    "ClipSpec",
    "Conditioning",
    "CropSpec",
    "Discriminator",
    "DiscriminatorInput",
    "DiscriminatorSpec",
    "Encoder",
    "EncoderSpec",
    "FramesSpec",
    "Generator",
    "GeneratorSpec",
    "Head",
    "HeadSpec",
    "HingeEachSpec",
    "HingeJoinedSpec",
    "JointLevels",
    "Level",
    "LevelSpec",
    "MatchingPairSpec",
    "MixedProjectionHead",
    "MixedProjectionSpec",
    "ObjectiveSpec",
    "PackSpec",
    "PixelLossSpec",
    "ProjectionHead",
    "ProjectionSpec",
    "RelativeHingeSpec",
    "Stage",
    "StageSpec",
    "SumThenHingeSpec",
    "VarietySpec",
    "ViewSpec",
    "orthogonal_penalty",
]
