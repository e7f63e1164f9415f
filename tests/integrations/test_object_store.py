"""`vidgan prepare s3://...` against a server that speaks S3's protocol (moto), on this machine."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidgan
from videos import write_video
from vidgan.errors import UserError

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server without buckets."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    own = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield f"http://{host}:{port}"
    running.stop()


def test_a_bucket_is_prepared_to_the_bytes_of_a_folder(tmp_path: Path, endpoint: str) -> None:
    import s3fs

    source = tmp_path / "source"
    for number in range(4):
        path = source / ("walk", "run")[number % 2] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames=4 + number)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("clips")
    system.put(str(source), "clips/mine", recursive=True)
    disk = vidgan.prepare(source, tmp_path / "disk", size=16, workers=0)
    # In processes of their own, as the command does.
    store = vidgan.prepare("s3://clips/mine", tmp_path / "store", size=16, workers=2)
    assert store.fingerprint == disk.fingerprint
    with pytest.raises(UserError, match="s3://nothing") as told:
        vidgan.prepare("s3://nothing/here", tmp_path / "other", size=16, workers=0)
    assert "\n" not in str(told.value)
    # Tar files are listed by their headers, read in ranges.
    shutil.make_archive(str(tmp_path / "one"), "tar", source)
    system.put(str(tmp_path / "one.tar"), "clips/shards/one.tar")
    packed = vidgan.prepare("s3://clips/shards", tmp_path / "packed", layout="tar", size=16, workers=0)
    assert packed.classes == disk.classes
    assert packed.sizes().tolist() == disk.sizes().tolist()
