"""The catalog is complete: whatever the package offers is in it, so shared tests cover what is added later."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import catalog
from vidgan.models.discriminator import BodySpec, HeadSpec
from vidgan.models.losses import ObjectiveSpec
from vidgan.models.views import ViewSpec
from vidgan.nn.blocks import ResidualSpec
from vidgan.nn.layers import InitialiserSpec
from vidgan.nn.norm import NormSpec
from vidgan.nn.recurrent import UnitSpec
from vidgan.nn.recurrent.unit import ActivationSpec
from vidgan.nn.temporal import RecurrentSpec, TemporalSpec
from vidgan.presets import presets
from vidgan.spec import Spec, concrete

TABLES = (
    catalog.ACTIVATIONS,
    catalog.INITIALISERS,
    catalog.NORMS,
    catalog.RESIDUALS,
    catalog.WARPS,
    catalog.UNITS,
    catalog.TEMPORAL,
    catalog.VIEWS,
    catalog.HEADS,
    catalog.OBJECTIVES,
    catalog.BODIES,
)


def descendants(cls: type) -> Iterator[type]:
    children: list[type] = cls.__subclasses__()
    for child in children:
        yield child
        yield from descendants(child)


def import_networks() -> None:
    """Import every module of the packages that hold networks, so that their specs exist."""
    for package in ("nn", "models"):
        root = importlib.import_module(f"vidgan.{package}")
        for found in pkgutil.walk_packages(root.__path__, f"vidgan.{package}."):
            importlib.import_module(found.name)


def members(base: type[Spec]) -> set[type]:
    """The classes of the package that a field of class ``base`` takes."""
    return {cls for cls in concrete(base).values() if cls.__module__.startswith("vidgan.")}


@pytest.mark.parametrize(
    ("union", "table"),
    [
        (ActivationSpec, catalog.ACTIVATIONS),
        (InitialiserSpec, catalog.INITIALISERS),
        (NormSpec, catalog.NORMS),
        (ResidualSpec, catalog.RESIDUALS),
        (UnitSpec, catalog.UNITS),
        (TemporalSpec, catalog.TEMPORAL),
        (ViewSpec, catalog.VIEWS),
        (HeadSpec, catalog.HEADS),
        (ObjectiveSpec, catalog.OBJECTIVES),
        (BodySpec, catalog.BODIES),
    ],
    ids=str,
)
def test_every_member_of_a_union_is_in_its_table(union: Any, table: Mapping[str, Spec]) -> None:
    assert {type(spec) for spec in table.values()} == members(union)


def test_every_unit_is_run_as_a_temporal_layer() -> None:
    units = {type(spec.unit) for spec in catalog.TEMPORAL.values() if isinstance(spec, RecurrentSpec)}
    assert units == members(UnitSpec)


def test_every_spec_of_a_network_is_in_the_catalog() -> None:
    import_networks()
    networks = ("vidgan.nn.", "vidgan.models.")
    ours = [
        cls
        for cls in descendants(Spec)
        if cls.__module__.startswith(networks) and not inspect.isabstract(cls)
    ]
    assert len(ours) > 30, "the walk finds too few specs to prove anything"
    known = {cls for table in TABLES for spec in table.values() for cls in catalog.specs_in(spec)}
    for experiment in catalog.experiments().values():
        known |= set(catalog.specs_in(experiment))
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in set(ours) - known}
    assert names == set()


def test_every_module_with_a_unit_is_in_the_union() -> None:
    """One file per unit: each module under nn/recurrent but the contract defines a member of the union."""
    import_networks()
    root = importlib.import_module("vidgan.nn.recurrent")
    files = {found.name for found in pkgutil.iter_modules(root.__path__, "vidgan.nn.recurrent.")}
    assert files - {"vidgan.nn.recurrent.unit"} == {cls.__module__ for cls in members(UnitSpec)}


def test_every_preset_has_a_structure_in_the_catalog() -> None:
    known = set().union(*map(catalog.trees, catalog.structures().values()))
    assert set(catalog.experiments()) == set(presets())
    for name, experiment in catalog.experiments().items():
        assert catalog.trees(experiment) <= known, name


def test_every_part_of_a_preset_is_in_one_that_is_trained() -> None:
    trained = {repr(part) for e in catalog.distinct().values() for part in catalog.parts(e)}
    for name, experiment in catalog.experiments().items():
        assert {repr(part) for part in catalog.parts(experiment)} <= trained, name
    assert {"trivd-table1-clip", "trivd-gan-fp-bair-16x64"} <= set(catalog.distinct())
    assert "trivd-projection-mixed" not in catalog.distinct()


def test_shrinking_keeps_the_tree_of_classes() -> None:
    for name, experiment in presets().items():
        small = catalog.experiments()[name]
        assert catalog.structure(small.levels) == catalog.structure(experiment.levels), name
        for level in small.levels:
            assert level.trained_frames >= 3 or level.window is not None
            assert level.window is None or level.window < level.frames
        assert small.training.batch.global_batch >= 3
        assert not small.conditional or small.classes >= 2
        assert small.size <= max(32, experiment.size // 4), name


def test_different_classes_and_switches_are_different_structures() -> None:
    """What the walks above rest on."""
    all_specs = [spec for table in TABLES for spec in table.values()]
    by_type: dict[type, set[str]] = {}
    for spec in all_specs:
        by_type.setdefault(type(spec), set()).add(catalog.structure(spec))
    trees = [tree for group in by_type.values() for tree in group]
    assert len(trees) == len(set(trees))
    objectives = by_type[type(catalog.OBJECTIVES["sum then hinge"])]
    assert len(objectives) == 2
