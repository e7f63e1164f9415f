"""Experiments of one's own: a unit from a user's file, names of files, presets of other packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import runs
import vidgan
from commands import ENVIRONMENT, require_one_line
from commands import vidgan as command
from pages import Page
from vidgan import presets
from vidgan.cli.experiment import OfExperiment, parse_with_values
from vidgan.errors import UserError
from vidgan.nn.recurrent import ConvGRUSpec, TSRUpSpec
from vidgan.nn.temporal import RecurrentSpec
from vidgan.report.page import write_report
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.sample.video_io import to_bytes
from vidgan.spec import SpecError, to_json
from vidgan.user_code import code_hash, load_code, load_object

Capture = pytest.CaptureFixture[str]
UNIT = '''
import torch

import vidgan
from vidgan.nn.recurrent import Output, Unit, UnitSpec


class Leaky(Unit):
    """y_t = tanh(x_t + a y_(t-1)), a for every channel."""

    def __init__(self, inputs, hidden, keep):
        super().__init__(inputs, hidden)
        self.keep = torch.nn.Parameter(torch.full((hidden, 1, 1), keep))

    def bind(self, dtype):
        keep = self.keep.to(dtype)

        def step(x, state):
            y = torch.tanh(x + keep * state[0])
            return Output(y, (y,), None)

        return step

    def start(self, encoding):
        return (encoding,)


class LeakySpec(UnitSpec):
    keep: float = 0.5

    def build(self, inputs, hidden):
        return Leaky(inputs, hidden, self.keep)


def mine():
    return vidgan.preset("demo").with_unit(LeakySpec(keep=0.25)).replace(name="mine")


constant = mine()
nothing = "a word"


def broken():
    return mine().replace(nmae="x")
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_experiment.py"
    path.write_text(UNIT)
    return path


def units(experiment: Experiment) -> list[list[object]]:
    """The units of the recurrent layers, level by level."""
    return [
        [
            layer.unit
            for stage in level.generator.stages
            for layer in stage.temporal
            if isinstance(layer, RecurrentSpec)
        ]
        for level in experiment.levels
    ]


def widths_in(value: object) -> list[int]:
    """All that is called width in an experiment as JSON, wherever it stands."""
    if isinstance(value, list):
        return [width for each in value for width in widths_in(each)]
    if not isinstance(value, dict):
        return []
    own = [value["width"]] if "width" in value else []
    return own + [width for each in value.values() for width in widths_in(each)]


@pytest.mark.parametrize("name", ["dvd-gan-k600-12x64", "trivd-gan-fp-k600-16x64-w48", "cvg-bdd100k-48x256"])
def test_all_networks_get_one_width(name: str) -> None:
    """Generators, encoders and discriminators of all levels, and nothing else."""
    before = vidgan.preset(name)
    after = before.with_width(7)
    networks = sum(
        1 + (level.generator.encoder is not None) + len(level.discriminators) for level in before.levels
    )
    assert widths_in(to_json(after)["levels"]) == [7] * networks
    (*same, line) = after.deviations
    assert tuple(same) == before.deviations
    widths = sorted(set(widths_in(to_json(before)["levels"])))
    assert line == f"all networks of width 7 instead of {' and '.join(map(str, widths))}"
    if len(widths) == 1:  # then nothing else changes
        assert after.with_width(widths[0]).replace(deviations=before.deviations) == before


def test_a_width_is_an_option_beside_others() -> None:
    words = ["dvd-gan-k600-12x64", "--width", "3", "--levels.0.generator.width", "5"]
    _, found = parse_with_values(OfExperiment, "plan", words)
    assert widths_in(to_json(found)["levels"]) == [5, 3, 3]
    _, small = parse_with_values(OfExperiment, "plan", [words[0], "--tiny", "--width", "4"])
    assert small.levels == tiny(vidgan.preset(words[0])).with_width(4).levels
    with pytest.raises(UserError, match="width must be at least 1"):
        parse_with_values(OfExperiment, "plan", [words[0], "--width", "0"])


def test_a_unit_replaces_all_others(file: Path) -> None:
    spec = load_object(f"{file}:LeakySpec")(keep=0.1)
    for name in ("dvd-gan-k600-12x64", "trivd-gan-fp-k600-16x64", "ssw-gan-k600-48x128-convgru"):
        before = vidgan.preset(name)
        after = before.with_unit(spec)
        assert [len(level) for level in units(after)] == [len(level) for level in units(before)]
        assert all(unit == spec for level in units(after) for unit in level)
        assert len(units(after)[0]) > 0
        (*same, line) = after.deviations
        assert tuple(same) == before.deviations
        assert "LeakySpec(keep=0.1)" in line
        assert str(units(before)[0][0]) in line
        # Nothing else changes.
        (old,) = {unit for level in units(before) for unit in level}
        assert after.with_unit(old).replace(deviations=before.deviations) == before
    assert len(units(vidgan.preset("ssw-gan-k600-48x128-convgru"))[1]) > 0, "a unit of an upper level counts"


def test_where_nothing_is_recurrent_no_unit_can_be_replaced() -> None:
    demo = vidgan.preset("demo")
    (level,) = demo.levels
    still = tuple(stage.replace(temporal=()) for stage in level.generator.stages)
    plain = demo.replace(levels=(level.replace(generator=level.generator.replace(stages=still)),))
    with pytest.raises(SpecError, match="no layer of demo is recurrent"):
        plain.with_unit(TSRUpSpec())


def test_names_of_files_are_experiments(file: Path, tmp_path: Path, capsys: Capture) -> None:
    mine = vidgan.preset(f"{file}:mine")
    assert mine.name == "mine"
    assert mine == vidgan.preset(f"{file}:constant")
    assert mine.deviations[-1].startswith("the unit of every recurrent layer is LeakySpec(keep=0.25)")
    answer = command(capsys, "presets", f"{file}:mine", "--json")
    assert json.loads(answer.out) == to_json(mine)
    edited = tmp_path / "experiment.json"
    edited.write_text(answer.out.replace('"keep": 0.25', '"keep": 0.75'))
    (unit,) = {unit for level in units(vidgan.preset(str(edited))) for unit in level}
    assert unit.keep == 0.75
    run = runs.make_run(tmp_path / "run", tiny(mine))
    assert vidgan.preset(str(run.path / "experiment.json")) == run.experiment
    for name, words in (
        (f"{file}:mien", "has no 'mien' .did you mean 'mine'"),
        (f"{file}:nothing", "is no experiment, nor a function that returns one: got str"),
        (f"{file}:broken", "has no field 'nmae' .did you mean 'name'"),
        (f"{tmp_path}/none.py:mine", "there is no Python file"),
        (f"{tmp_path}/none.json", r"there is no file .*none\.json"),
        (str(file), "there is no preset"),
        ("dmeo", "did you mean 'demo'"),
    ):
        with pytest.raises(UserError, match=words):
            vidgan.preset(name)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UserError, match="the field 'name' is missing"):
        vidgan.preset(str(tmp_path / "bad.json"))


FRESH = """
import json, os, sys, traceback
import torch
import vidgan.sample.load
for run, code, out in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        os.dup2(os.open(out + ".err", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
        try:
            torch.save(vidgan.load(run, code=code or None, device="cpu").sample(2, seed=1), out)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.waitpid(child, 0)
"""


def each_in_a_process_of_its_own(*asked: tuple[Path, object, Path]) -> list[str]:
    """Load a run with code, or none, and save two samples, in a process for each; what they say, if they fail too."""
    given = json.dumps([[str(part) for part in each] for each in asked])
    subprocess.run([sys.executable, "-c", FRESH, given], env=ENVIRONMENT, check=True)
    return [out.with_name(f"{out.name}.err").read_text() for *_, out in asked]


@pytest.mark.slow
def test_a_unit_of_ones_own_is_trained_saved_loaded_and_sampled(
    file: Path, tmp_path: Path, capsys: Capture
) -> None:
    out, saved = tmp_path / "run", tmp_path / "saved"
    train = ("train", f"{file}:mine", "--tiny", "--data", "synthetic", "--workers", 0, "--steps", 2)
    answer = command(capsys, *train, "--out", out)
    assert answer.status == 0, answer.err
    record = json.loads((out / "experiment.json").read_text())
    assert record["code"] == {"my_experiment.py": code_hash(file)}
    assert '"is": "my_experiment.py:LeakySpec"' in (out / "experiment.json").read_text()
    model = vidgan.load(out, code=file, device="cpu")
    assert model.generators[0].state_dict()["stages.0.temporal.0.unit.keep"].shape[1:] == (1, 1)
    model.save(saved)
    places = (out, saved)
    asked = [(place, file, tmp_path / f"{place.name}.pt") for place in places]
    bare = [(place, "", tmp_path / f"{place.name}-bare.pt") for place in places]
    said = each_in_a_process_of_its_own(*asked, *bare)
    assert said[:2] == ["", ""]
    for _, _, made in asked:
        assert torch.equal(torch.load(made, weights_only=True), model.sample(2, seed=1))
    # A folder makes vidgan import nothing: the error names the option.
    for line in said[2:]:
        assert line.endswith("name its file by --code my_experiment.py (code= in Python)\n")
    assert not any(made.exists() for _, _, made in bare)
    # Another version of the file is said in a line, and used.
    file.write_text(UNIT + "\n# Edited.\n")
    edited = [(place, file, tmp_path / f"{place.name}-edited.pt") for place in places]
    for (place, _, made), said in zip(edited, each_in_a_process_of_its_own(*edited), strict=True):
        assert said == f"{place} was made with another version of my_experiment.py\n"
        assert torch.equal(torch.load(made, weights_only=True), model.sample(2, seed=1))


MAIN = """
import sys
from pathlib import Path

import runs
import vidgan
from vidgan.nn.recurrent import ConvGRUSpec
from vidgan.run.tiny import tiny
from vidgan.spec import from_json, to_json


class MineSpec(ConvGRUSpec):
    more: int = 3


if __name__ == "__main__":
    experiment = tiny(vidgan.preset("demo").with_unit(MineSpec()))
    run = runs.untrained(Path(sys.argv[1]), experiment)
    assert '"is": "script.py:MineSpec"' in (run.path / "experiment.json").read_text()
    for code in (None, __file__):
        model = vidgan.load(run.path, code=code, device="cpu")
        assert type(model.experiment.levels[0].generator.stages[0].temporal[0].unit) is MineSpec
    print(tuple(model.sample(1).shape))
"""


@pytest.mark.slow
def test_classes_of_the_running_script_are_known(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(MAIN)
    paths = {"PYTHONPATH": f"{Path(__file__).parent}:{ENVIRONMENT.get('PYTHONPATH', '')}"}
    arguments = [sys.executable, str(script), str(tmp_path / "run")]
    done = subprocess.run(arguments, env=ENVIRONMENT | paths, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "(1, 4, 3, 24, 24)\n"), done.stderr
    assert done.stderr == ""


ENTRY_POINTS = """[vidgan.presets]
theirs = their_package:theirs
demo = their_package:theirs
broken = their_package:broken
missing = their_package:missing
misnamed = their_package:misnamed
odd = their_package:odd
"""
THEIRS = """
import vidgan
print("imported")
theirs = lambda: vidgan.preset("demo").replace(name="theirs", description="Of a package.")
misnamed = lambda: theirs().replace(name="other")
odd = lambda: 3
def broken():
    raise ValueError("no\\nluck")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that Python finds, as pip leaves it."""
    facts = tmp_path / "their_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "their_package.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    presets._offers.cache_clear()
    yield tmp_path
    presets._offers.cache_clear()
    sys.modules.pop("their_package", None)


def test_presets_of_other_packages(package: Path, capsys: Capture) -> None:
    assert vidgan.preset("demo").name == "demo"
    assert capsys.readouterr() == ("", ""), "nobody is asked for a name of vidgan's own"
    assert vidgan.preset("theirs").description == "Of a package."
    said = capsys.readouterr()
    assert said.out == "imported\n"
    whose = "of the package their-package"
    assert said.err == (
        f"left out: the preset demo {whose} (their_package:theirs): vidgan has a preset of that name\n"
    )
    for name, words in (
        ("broken", "ValueError: no luck"),
        ("missing", "AttributeError"),
        ("misnamed", "an experiment of another name: other"),
        ("odd", "is no experiment"),
    ):
        with pytest.raises(UserError, match=words) as found:
            vidgan.preset(name)
        assert str(found.value).startswith(f"the preset {name} {whose} (their_package:{name}) ")
        assert "\n" not in str(found.value)
    capsys.readouterr()
    names = vidgan.preset_names()
    assert "theirs" in names
    assert len(set(names)) == len(names)
    assert capsys.readouterr().err.count("left out: the preset") == 4
    answer = command(capsys, "presets")
    assert "Of the package their-package" in answer.out
    assert answer.out.splitlines()[-1].split() == ["theirs", "Of", "a", "package."]
    require_one_line(command(capsys, "presets", "broken"), "ValueError: no luck")


def test_a_name_that_two_packages_offer(package: Path, capsys: Capture) -> None:
    facts = package / "second-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[vidgan.presets]\ntheirs = their_package:theirs\n")
    assert vidgan.preset("theirs").name == "theirs"
    assert "another package has a preset of that name\n" in capsys.readouterr().err


def test_code_may_be_an_installed_module(package: Path, capsys: Capture) -> None:
    module = load_code("their_package")
    assert module is sys.modules["their_package"]
    assert vidgan.preset("their_package:theirs").name == "theirs"
    with pytest.raises(UserError, match=r"no_such_package\.units cannot be imported: ModuleNotFoundError"):
        load_code("no_such_package.units")


def test_a_run_of_other_code_says_so(file: Path, tmp_path: Path, capsys: Capture) -> None:
    run = runs.make_run(tmp_path / "run", tiny(vidgan.preset(f"{file}:mine")))
    capsys.readouterr()
    RunDirectory.open(run.path)
    assert capsys.readouterr() == ("", "")
    file.write_text(f"{UNIT}\n")
    for _ in range(2):
        RunDirectory.open(run.path)
    assert capsys.readouterr() == ("", f"{run.path} was made with another version of my_experiment.py\n")
    plain = runs.make_run(tmp_path / "plain")
    assert json.loads((plain.path / "experiment.json").read_text())["code"] == {}


@pytest.mark.slow
def test_a_sample_of_a_unit_of_ones_own(file: Path, tmp_path: Path) -> None:
    run = runs.untrained(tmp_path / "run", tiny(vidgan.preset(f"{file}:mine")))
    video = to_bytes(vidgan.load(run.path, code=[file], device="cpu").sample(1))
    other = runs.untrained(tmp_path / "other", tiny(vidgan.preset("demo").with_unit(ConvGRUSpec())))
    assert not torch.equal(video, to_bytes(vidgan.load(other.path, device="cpu").sample(1)))


def changes_shown(run: RunDirectory, asked: str, code: Path | None = None) -> str:
    """What a report says that a run changes which was started by ``vidgan train ASKED``."""
    record = json.loads((run.path / "experiment.json").read_text())
    record["command"] = ["vidgan", "train", asked, "--out", "x"]
    (run.path / "experiment.json").write_text(json.dumps(record))
    text = Page.read(write_report(run.path, code=code)).section("Differences from the paper").text
    return " ".join(text.split())


def test_a_report_lists_what_a_run_changes_of_a_packages_preset(
    package: Path, tmp_path: Path, capsys: Capture
) -> None:
    theirs = vidgan.preset("theirs")
    training = theirs.training.replace(steps=7)
    run = runs.make_run(tmp_path / "run", theirs.replace(training=training))
    said = changes_shown(run, "theirs")
    assert said.endswith("This run changes 1 setting of the preset. training.steps: 100000 → 7")
    run = runs.make_run(tmp_path / "broken", theirs.replace(name="broken"))
    assert "no preset here is called broken" in changes_shown(run, "broken")


def test_a_report_lists_what_a_run_changes_of_ones_own_experiment(file: Path, tmp_path: Path) -> None:
    mine = vidgan.preset(f"{file}:mine")
    training = mine.training.replace(steps=7)
    run = runs.make_run(tmp_path / "run", mine.replace(training=training))
    # The run was started in another folder: the file is known by its name.
    said = changes_shown(run, f"elsewhere/{file.name}:mine", code=file)
    head = f"This run changes 1 setting of elsewhere/{file.name}:mine."
    assert said.endswith(f"{head} training.steps: 100000 → 7")
    for asked in (f"{file.name}:nothing", f"{file.name}:gone", "other.py:mine", "mine.json"):
        said = changes_shown(run, asked, code=file)
        assert "This run changes" not in said
        assert "no preset here is called mine, and a file of your own has to be named by --code" in said


@pytest.mark.slow
def test_a_run_is_reported_with_the_users_file(file: Path, tmp_path: Path) -> None:
    made = (
        "import sys; sys.path.insert(0, sys.argv[1]); import runs, vidgan; from pathlib import Path; "
        "runs.make_run(Path(sys.argv[3]), vidgan.preset(sys.argv[2] + ':mine'))"
    )
    run = tmp_path / "run"
    given = (str(Path(__file__).parent), str(file), str(run))
    subprocess.run([sys.executable, "-c", made, *given], check=True, env=ENVIRONMENT)
    page = Page.read(write_report(run, code=file))
    (header,) = page.root.all("header")
    assert f"my_experiment.py, hash {code_hash(file)}" in header.text
    assert "LeakySpec(keep=0.25)" in page.section("Differences from the paper").text
    assert "unit: my_experiment.py:LeakySpec" in page.section("The experiment").text


PARTS = """
import torch

import vidgan
from vidgan.models import DiscriminatorSpec, Head, HeadSpec, ViewSpec
from vidgan.nn import Moments, NormSpec


class Last(ViewSpec):
    frames: int = 2

    def steps(self, frames, factor=1):
        return self.frames

    def apply(self, seen, draw):
        return seen.clip[:, -self.frames :]


class Free(Head):
    def forward(self, h, label):
        return self.parts(h, label)[0]


class FreeSpec(HeadSpec):
    def build(self, features, classes):
        return Free(features, classes)


class RootMeanSquare(NormSpec):
    def moments(self, key, x, context):
        power = x.float().square().mean((2, 3, 4))[..., None].expand(-1, -1, x.shape[2])
        return Moments(torch.zeros_like(power), power)


def parts():
    experiment = vidgan.preset("dvd-gan-k600-12x64")
    (level,) = experiment.levels
    generator = level.generator.replace(norm=RootMeanSquare(), final_norm=RootMeanSquare())
    last = level.discriminators[0].replace(name="last", view=Last(), head=FreeSpec())
    level = level.replace(generator=generator, discriminators=(*level.discriminators, last))
    return experiment.replace(name="parts", levels=(level,))
"""


@pytest.mark.slow
def test_a_view_a_head_and_a_normalisation_of_ones_own(tmp_path: Path, capsys: Capture) -> None:
    """Trained, resumed from the record alone, planned, sampled, measured and reported."""
    path, run, record = tmp_path / f"{tmp_path.name}_parts.py", tmp_path / "run", tmp_path / "parts.json"
    path.write_text(PARTS)
    train = ("--data", "synthetic", "--tiny", "--workers", 0, "--out", run)
    assert command(capsys, "train", f"{path}:parts", *train, "--steps", 1).status == 0
    record.write_text(command(capsys, "presets", f"{path}:parts", "--json").out)
    code = ("--code", path)
    for words in (
        ("train", record, *train, "--steps", 2, "--resume"),
        ("plan", record, "--tiny"),
        ("sample", run, "--clips", 2, "--out", tmp_path / "videos"),
        ("evaluate", run, "--protocol", "pixel-statistics", "--clips", 4),
        ("report", run),
    ):
        answer = command(capsys, *words, *code)
        assert answer.status == 0, (words, answer.err)
    assert "discriminator/last/fake" in (run / "log.jsonl").read_text()
    assert vidgan.load(run, code=path).sample(1).isfinite().all()
