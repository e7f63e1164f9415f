"""Loaders: every public format gives the same network; nothing foreign is run; errors say what to do."""

import functools
import hashlib
import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import formulas
from vidgan.errors import UserError
from vidgan.evaluation.features import weights
from vidgan.evaluation.features.c3d import C3D
from vidgan.evaluation.features.i3d import I3D
from vidgan.evaluation.features.network import exact_float32
from vidgan.evaluation.features.r2plus1d import R2Plus1D
from vidgan.evaluation.features.tf_checkpoint import read_checkpoint
from vidgan.evaluation.protocols.base import EvaluationBatch, Resources
from vidgan.evaluation.protocols.networks import ForeignI3D

KEYS = json.loads((Path(__file__).parent / "vectors" / "i3d_keys.json").read_text())
PYTORCH = [name for name in KEYS if name.startswith("piergiaj")]
TENSORFLOW = [name for name in KEYS if name.startswith("tf:")]
# TF-Hub's alone in the quick tests; DeepMind's files are the slow ones' part.
QUICK = ("variables.index",)


# A writer of TensorFlow's checkpoint format, apart from the reader under test.


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, kind, payload):
    head = varint(number << 3 | kind)
    return head + (varint(payload) if kind == 0 else varint(len(payload)) + payload)


def block(entries, restart=16):
    out, restarts, last = bytearray(), [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return bytes(out) + struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts))


def write_bundle(prefix, variables, shards=1, per_block=50):
    data = [bytearray() for _ in range(shards)]
    entries = [(b"", field(1, 0, shards) + field(3, 2, field(1, 0, 1)))]
    for i, name in enumerate(sorted(variables)):
        array, shard = variables[name], i % shards
        raw = np.ascontiguousarray(array).tobytes()
        shape = b"".join(field(2, 2, field(1, 0, size)) for size in array.shape)
        entry = field(1, 0, {"float32": 1, "int64": 9}[array.dtype.name]) + field(2, 2, shape)
        if shard:
            entry += field(3, 0, shard)
        if data[shard]:
            entry += field(4, 0, len(data[shard]))
        entry += field(5, 0, len(raw)) + varint(6 << 3 | 5) + b"\0\0\0\0"
        entries.append((name.encode(), entry))
        data[shard] += raw
    out, index = bytearray(), []
    for start in range(0, len(entries), per_block):
        body = block(entries[start : start + per_block])
        index.append((entries[start : start + per_block][-1][0], varint(len(out)) + varint(len(body))))
        out += body + b"\0" + b"\0\0\0\0"
    handles = b""
    for body in (block([]), block(index, restart=1)):
        handles += varint(len(out)) + varint(len(body))
        out += body + b"\0" + b"\0\0\0\0"
    out += handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    Path(f"{prefix}.index").write_bytes(bytes(out))
    for number, raw in enumerate(data):
        Path(f"{prefix}.data-{number:05d}-of-{shards:05d}").write_bytes(bytes(raw))


def formula_value(key, shape):
    return formulas.i3d_value(key, tuple(shape)).astype(np.float32)


def tensorflow_variables(name):
    """The variables of a public checkpoint, filled with the formula values of our names."""
    variables = {}
    for variable, facts in KEYS[name].items():
        shape = facts["shape"]
        if facts["key"] is None:
            variables[variable] = np.full(shape, 7, np.float32)
        elif variable.endswith("conv_3d/w"):
            *kernel, inputs, outputs = shape
            value = formula_value(facts["key"], (outputs, inputs, *kernel))
            variables[variable] = value.transpose(2, 3, 4, 1, 0)
        else:
            variables[variable] = formula_value(facts["key"], [shape[-1]]).reshape(shape)
    return variables


@functools.cache
def expected_state(classes, channels):
    return formulas.i3d_state(I3D(classes, channels))


def same(network, state):
    found = network.state_dict()
    return list(found) == list(state) and all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counters"),
    # rgb_imagenet.pt and VideoGPT's files have no counters.
    [(name, True) for name in PYTORCH] + [("piergiaj_rgb_400", False)],
)
def test_i3d_from_piergiaj_and_videogpt(name, counters, tmp_path):
    state = {
        key: torch.from_numpy(formula_value(key, shape)) if shape else torch.tensor(0)
        for key, shape in KEYS[name].items()
        if counters or not key.endswith("num_batches_tracked")
    }
    torch.save(state, tmp_path / "i3d.pt")
    network, record = weights.load_i3d(tmp_path / "i3d.pt")
    channels = 2 if "flow" in name else 3
    assert same(network, expected_state(600 if "600" in name else 400, channels))
    assert record.sha256 == hashlib.sha256((tmp_path / "i3d.pt").read_bytes()).hexdigest()


@pytest.mark.slow
def test_i3d_from_hassony2(tmp_path):
    state = {
        key: torch.from_numpy(formula_value(facts["key"], facts["shape"]))
        if facts["shape"]
        else torch.tensor(0)
        for key, facts in KEYS["hassony2_rgb_400"].items()
    }
    torch.save(state, tmp_path / "model_rgb.pth")
    network, _ = weights.load_i3d(tmp_path / "model_rgb.pth", classes=400)
    assert same(network, expected_state(400, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if any(part in name for part in QUICK) else pytest.mark.slow)
        for name in TENSORFLOW
    ],
)
def test_i3d_from_tensorflow(name, tmp_path):
    saved_model = name.endswith("variables/variables.index")
    folder = tmp_path / "variables" if saved_model else tmp_path
    folder.mkdir(exist_ok=True)
    prefix = folder / ("variables" if saved_model else "model.ckpt")
    write_bundle(prefix, tensorflow_variables(name), shards=2 if "kin600" in name else 1)
    network, record = weights.load_i3d(tmp_path if saved_model else prefix)
    assert same(network, expected_state(600 if "kin600" in name else 400, 2 if "flow_" in name else 3))
    assert len(record.sha256) == 64
    if not saved_model:
        assert weights.load_i3d(prefix.with_name("model.ckpt.index"))[1].sha256 == record.sha256


@pytest.mark.slow
def test_one_output_from_every_kind_of_file(tmp_path):
    state = expected_state(400, 3)
    torch.save(state, tmp_path / "a.pt")
    write_bundle(tmp_path / "b", tensorflow_variables(next(n for n in TENSORFLOW if "variables" in n)))
    clip = torch.from_numpy(formulas.clip_uint8(1, 9, 224, 224)).permute(0, 1, 4, 2, 3) / 127.5 - 1
    with exact_float32():
        a, b = (weights.load_i3d(tmp_path / name)[0](clip) for name in ("a.pt", "b"))
    assert a.logits.isfinite().all()
    assert torch.equal(a.logits, b.logits)


def test_reader_of_tensorflow_bundles(tmp_path):
    rng = np.random.default_rng(0)
    variables = {
        f"layer{i % 7}/unit{i}/w": rng.normal(size=(i % 4, 3)).astype(np.float32) for i in range(120)
    }
    variables["global_step"] = np.array(12345678901, np.int64)
    write_bundle(tmp_path / "model.ckpt", variables, shards=3, per_block=7)
    found = read_checkpoint(tmp_path / "model.ckpt")
    assert found.keys() == variables.keys()
    for name, value in variables.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_damaged_bundles(tmp_path):
    write_bundle(tmp_path / "m", {"a": np.ones((4, 4), np.float32)})
    index, data = tmp_path / "m.index", tmp_path / "m.data-00000-of-00001"
    whole = index.read_bytes()
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(UserError, match="do not fit together"):
        read_checkpoint(tmp_path / "m")
    data.unlink()
    with pytest.raises(UserError, match="missing"):
        read_checkpoint(tmp_path / "m")
    for damaged in (whole[:-1], whole[20:], b"", b"\xff" * 200):
        index.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            read_checkpoint(tmp_path / "m")


@pytest.mark.slow
def test_c3d_from_state_dict_and_chainer(tmp_path):
    generator = torch.Generator().manual_seed(0)
    state = {key: torch.rand(value.shape, generator=generator) for key, value in C3D().state_dict().items()}
    torch.save(state, tmp_path / "c3d.pt")
    leaves = {"weight": "W", "bias": "b"}
    chainer = {f"{k.split('.')[0]}/{leaves[k.split('.')[1]]}": v.numpy() for k, v in state.items()}
    np.savez(tmp_path / "c3d.npz", **chainer)
    for name in ("c3d.pt", "c3d.npz"):
        assert same(weights.load_c3d(tmp_path / name, classes=101)[0], state)


def test_mean_clip(tmp_path):
    mean = formulas.uniform("m", (3, 16, 128, 171)).astype(np.float32)
    np.savez(tmp_path / "mean2.npz", mean=mean)
    np.testing.assert_array_equal(weights.load_c3d_mean(tmp_path / "mean2.npz")[0].numpy(), mean)
    np.savez(tmp_path / "other.npz", mean=mean[:, :, :112, :112])
    with pytest.raises(UserError, match="mean"):
        weights.load_c3d_mean(tmp_path / "other.npz")


@pytest.mark.slow
def test_r2plus1d(tmp_path):
    from safetensors.torch import save_file

    state = formulas.plain_state(R2Plus1D())
    save_file(state, tmp_path / "r2plus1d.safetensors")
    assert same(weights.load_r2plus1d(tmp_path / "r2plus1d.safetensors", classes=400)[0], state)


def test_known_hashes_are_named():
    assert "torchvision" in str(weights.Weights(Path("x"), "91a641e6" + "0" * 56).known_as)
    assert weights.Weights(Path("x"), "0" * 64).known_as is None


@pytest.mark.slow
def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="name their file"):
        weights.load_i3d(None)
    with pytest.raises(UserError, match=r"no I3D weights at .*absent"):
        weights.load_i3d(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("not weights")
    np.savez(tmp_path / "arrays.pt", a=np.ones(3))
    (tmp_path / "arrays.pt.npz").rename(tmp_path / "arrays.pt")
    for name in ("text.pt", "arrays.pt"):
        with pytest.raises(UserError, match=r"cannot be read .* is no file of torch\.save") as caught:
            weights.load_i3d(tmp_path / name)
        assert "False" not in str(caught.value)  # PyTorch's advice is to switch safety off.
    state = formulas.i3d_state(I3D(5))
    torch.save(state, tmp_path / "five.pt")
    with pytest.raises(UserError, match=r"5 classes; 400"):
        weights.load_i3d(tmp_path / "five.pt", classes=400)
    lacking = {key: value for key, value in state.items() if key != "Mixed_4c.b2b.bn.bias"}
    torch.save(lacking, tmp_path / "lacking.pt")
    with pytest.raises(UserError, match=r"lacks Mixed_4c\.b2b\.bn\.bias"):
        weights.load_i3d(tmp_path / "lacking.pt")
    torch.save(state | {"extra": torch.ones(1)}, tmp_path / "extra.pt")
    with pytest.raises(UserError, match="unknown tensor extra"):
        weights.load_i3d(tmp_path / "extra.pt")
    torch.save(state | {"Mixed_3b.b0.bn.bias": torch.ones(1)}, tmp_path / "shape.pt")
    with pytest.raises(UserError, match=r"Mixed_3b\.b0\.bn\.bias has shape"):
        weights.load_i3d(tmp_path / "shape.pt")


class Mine:
    def __reduce__(self):
        return (exec, ("raise SystemExit('foreign code ran')",))


def test_pickled_code_is_never_run(tmp_path):
    torch.save({"logits.conv3d.weight": Mine()}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match=r"without running code: it asks for \S*exec"):
        weights.load_i3d(tmp_path / "bad.pt")


class Program(torch.nn.Module):
    def forward(self, x, rescale: bool = False, resize: bool = False, return_features: bool = False):
        y = x.mean((3, 4)).flatten(1)
        if rescale:
            y = y * 2
        if resize:
            y = y + 3
        if return_features:
            y = y + 1000
        return y


def test_torchscript_only_with_its_flag(tmp_path):
    path = tmp_path / "i3d_torchscript.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Program()), path)
    with pytest.raises(UserError, match="runs the code"):
        weights.load_i3d(path)
    clips = formulas.clip_uint8(2, 4, 8, 8)
    with pytest.raises(UserError, match="runs the code"):
        ForeignI3D().open(Resources(path), ())
    batch = EvaluationBatch(clips, np.zeros(2, np.int64))
    found = ForeignI3D().open(Resources(path, run_foreign_code=True), ()).rows(batch)["logits"]
    expected = clips.transpose(0, 4, 1, 2, 3).mean((3, 4)).reshape(2, -1) * 2 + 1003
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    torch.save({}, tmp_path / "plain.pt")
    with pytest.raises(UserError, match="not TorchScript"):
        ForeignI3D().open(Resources(tmp_path / "plain.pt", run_foreign_code=True), ())
