"""Videos in tar files, as WebDataset lays them out: files of one clip stand together under one name.

``000123.mp4`` and ``000123.cls`` are a clip and its class, a number or a name. Where there is no ``.cls``, a clip's
class is the folder that it lies in within its tar file. Only headers are read beforehand, and the classes.
"""

import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple

from vidgan.data.animation import WEBP
from vidgan.data.layouts import FoundClips, Layout, LeftOut, require_folder, video_kind
from vidgan.data.listing import Listing, Remarks, list_files
from vidgan.data.remote import BLOCK, Copied, FileStamp, Store
from vidgan.data.video import VIDEOS, ClipSource, stamp_of
from vidgan.errors import UserError
from vidgan.names import printable

TAR: Final = ".tar"
CLASS: Final = ".cls"
LONGEST: Final = 1000
"""bytes of a class's name"""


class Member(NamedTuple):
    """A video in a tar file."""

    tar: Path
    name: str
    """its path within"""
    first: int
    """its first byte in the tar file"""
    size: int
    """bytes"""
    label: str | None
    """its class, where a file beside it says so"""

    @property
    def folder(self) -> str:
        """The folder that it lies in within the tar file; empty where it lies in none."""
        return PurePosixPath(self.name).parts[0] if "/" in self.name else ""


class TarShards(Layout):
    """Tar files of videos, anywhere below the source."""

    def find(self, source: Path) -> FoundClips:
        require_folder(source, "tar files of videos")
        listing = list_files(source, (TAR,))
        stamps = {path: FileStamp(*stamp_of(path)) for path in listing.files}
        remarks = Remarks(listing.remarks)
        members = [one for path in listing.files for one in members_of(path, path.open("rb"), remarks)]
        return found_in(members, stamps, None, str(source), listing, remarks)

    def find_in(self, store: Store) -> FoundClips:
        listing = store.list_files((TAR,))
        stamps = {path: store.stamp(path) for path in listing.files}
        remarks = Remarks(listing.remarks)
        members = [
            one for path in listing.files for one in members_of(path, store.open(path, BLOCK), remarks)
        ]
        return found_in(members, stamps, store.url, store.url, listing, remarks)


def found_in(
    members: list[Member],
    stamps: dict[Path, FileStamp],
    store: str | None,
    source: str,
    listing: Listing,
    remarks: Remarks,
) -> FoundClips:
    """The clips of all tar files, by class.

    Raises:
        UserError: where there are none.
    """
    if not members:
        held = "; ".join(["", *map(str, remarks.all())])
        raise UserError(f"{source} holds no tar files with videos ({', '.join(s[1:] for s in VIDEOS)}){held}")
    told = any(member.label is not None for member in members)
    names = {(member.label if told else member.folder) or "" for member in members}
    classes = sorted(
        names - {""}, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    )
    left_out = []
    sources: list[ClipSource] = []
    for member in members:
        place = f"{member.tar.relative_to(listing.root).as_posix()}/{member.name}"
        own = (member.label if told else member.folder) or ""
        if classes and not own:
            left_out.append(LeftOut(place, f"has no {CLASS} file" if told else "lies in no class folder"))
            continue
        sources.append(
            Copied(
                member.tar,
                place,
                classes.index(own) if classes else 0,
                kind=video_kind(Path(member.name)),
                store=store,
                known=stamps[member.tar],
                part=(member.first, member.size),
            )
        )
    sources.sort(key=lambda clip: clip.label)  # as folders of classes, of which each is in order
    return FoundClips(tuple(map(printable, classes)) or ("all",), sources, left_out, remarks.all())


def members_of(path: Path, file: IO[bytes], remarks: Remarks) -> Iterator[Member]:
    """The videos of a tar file, in its order, with the classes beside them.

    Raises:
        UserError: where it is none, or is cut off.
    """
    labels: dict[str, str] = {}
    found: list[Member] = []
    with closing(file):
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for entry in tar:
                    inside = PurePosixPath(entry.name.removeprefix("./"))
                    if not entry.isfile() or any(part.startswith(".") for part in inside.parts):
                        continue
                    suffix = inside.suffix.lower()
                    if suffix == CLASS and entry.size <= LONGEST:
                        content = tar.extractfile(entry)
                        assert content is not None
                        labels[_key(inside)] = content.read().decode("utf-8", "replace").strip()
                    elif suffix in (*VIDEOS, WEBP):
                        found.append(Member(path, str(inside), entry.offset_data, entry.size, None))
                    elif suffix not in (".json", ".txt"):
                        remarks.add(
                            f"{suffix or 'nameless'} files in tar files, which are not read",
                            f"{path}/{inside}",
                        )
        except (tarfile.TarError, OSError) as error:
            raise UserError(f"{path} is no whole tar file, uncompressed: {error}") from error
    return (member._replace(label=labels.get(_key(PurePosixPath(member.name)))) for member in found)


def _key(inside: PurePosixPath) -> str:
    # WebDataset: a file's name ends for this at its first dot.
    return str(inside.with_name(inside.name.split(".")[0]))
