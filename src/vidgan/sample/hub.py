"""Saved models on the Hugging Face Hub, or a server with its interface (``HF_ENDPOINT``); needs the extra ``hub``.

What comes from there are files of a saved model's own names. They are compared with the hashes that the model carries,
read without unpickling, and nothing in them is run.
"""

import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from vidgan.errors import UserError
from vidgan.files import LARGEST_JSON, SUMS, read_bytes, require_sums

PREFIX: Final = "hf:"
PLACE: Final = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
FILES: Final = re.compile(r"model\.json|weights\.safetensors|README\.md|statistics/[\w.-]+")
"""names of files that a saved model has"""
TIMEOUT: Final = 10.0
"""seconds to wait for the server's first answer"""


def is_on_hub(place: str | Path) -> bool:
    """Whether ``place`` names a model on the Hub: ``hf:owner/name``."""
    return str(place).startswith(PREFIX)


def fetch(place: str | Path) -> Path:
    """The folder with the files of a model on the Hub, which are kept in its client's cache.

    Args:
        place: ``hf:owner/name``, or ``hf:owner/name@revision``.

    Raises:
        UserError: if the client is not installed, or there is no such model or no way to it.
    """
    match = PLACE.fullmatch(str(place))
    if match is None:
        raise UserError(f"{str(place)!r} is no place on the Hub: hf:owner/name or hf:owner/name@revision")
    hub = client()
    repo = match["repo"]
    with told(hub, f"{place} cannot be fetched"):
        commit, is_there = commit_of(hub, repo, match["revision"])

        def download(name: str, revision: str | None, otherwise: str) -> Path:
            try:
                return Path(hub.hf_hub_download(repo, name, revision=revision, local_files_only=not is_there))
            except hub.errors.RemoteEntryNotFoundError:
                raise UserError(f"{PREFIX}{repo}@{commit} {otherwise}: there is no {name}") from None

        # By the name that was given, which the client remembers for when no server answers.
        sums = download(SUMS, match["revision"], "holds no saved model")
        commit = sums.parent.name  # what changes there meanwhile is not mixed in
        exact = f"{PREFIX}{repo}@{commit}"
        for name in names_in(sums, exact):
            download(name, commit, "is damaged")
    # Here, where its place is known: in a message, the folder of the cache alone would look like a damaged disk.
    require_sums(sums.parent, name=f"{exact} (here in {sums.parent})")
    return sums.parent


def commit_of(hub: Any, repo: str, revision: str | None) -> tuple[str, bool]:
    """The commit that a revision (None: the newest) names, and whether the server said so.

    Asked once: to get a file, the client would try six times in half a minute where there is no server. Where there is
    none, a copy that the client has kept is as good.
    """
    try:
        return str(hub.HfApi().model_info(repo, revision=revision, timeout=TIMEOUT).sha), True
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError):
        raise
    except Exception:
        kept = hub.try_to_load_from_cache(repo, SUMS, revision=revision)
        if not isinstance(kept, str):
            raise
        return Path(kept).parent.name, False


def names_in(sums: Path, place: str) -> list[str]:
    """The files that the hashes of the model at ``place`` name.

    Raises:
        UserError: if one is none that a saved model has.
    """
    try:
        lines = read_bytes(sums, LARGEST_JSON).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{place} is damaged: {SUMS}: {error}") from error
    names = [line.partition("  ")[2] for line in lines]
    if strange := [name for name in names if not FILES.fullmatch(name) or ".." in name]:
        raise UserError(f"{SUMS} of {place} names a file that no saved model has: {strange[0]!r}")
    return names


def push(
    save: Callable[[Path, str], None],
    repo: str,
    private: bool = False,
    token: str | None = None,
    message: str = "A model saved by vidgan",
) -> str:
    """Save a model and upload it as ``repo`` (``owner/name``), which is made where it is not there.

    Args:
        save: writes the model into a new folder, with a card that says this place.
        token: None: that of ``hf auth login`` or ``HF_TOKEN``.

    Returns:
        the place that :func:`vidgan.load` takes, with the commit.

    Raises:
        UserError: if the client is not installed, or the server refuses.
    """
    place = f"{PREFIX}{repo.removeprefix(PREFIX)}"
    match = PLACE.fullmatch(place)
    if match is None or match["revision"] is not None:
        raise UserError(f"{repo!r} is no name on the Hub: owner/name")
    hub = client()
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        save(saved, place)
        with told(hub, f"{place} cannot be written"):
            api = hub.HfApi(token=token)
            api.create_repo(match["repo"], private=private, exist_ok=True)
            # What an earlier model left there would not be among the hashes of this one.
            made = api.upload_folder(
                repo_id=match["repo"],
                folder_path=saved,
                commit_message=message,
                delete_patterns=["statistics/*"],
            )
    return f"{place}@{made.oid}"


def client() -> Any:
    """The package ``huggingface_hub``.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError("models on the Hub need the extra hub: pip install 'vidgan[hub]'") from error
    return huggingface_hub


@contextmanager
def told(hub: Any, what: str) -> Iterator[None]:
    """Turns what the client raises inside into a line that names its server; the client itself says nothing."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of the client's HTTP library, which is another one from version to version
        raise UserError(f"{what}: {hub.constants.ENDPOINT}: {reason_of(error)}") from error
    finally:
        log.setLevel(level)


def reason_of(error: Exception) -> str:
    """What the client raised, and what to do about it."""
    if isinstance(error, json.JSONDecodeError):
        return "it does not answer as the Hub does"
    brief = " ".join([line.strip() for line in str(error).splitlines() if line.strip()][:2])
    if "xet" in str(error):
        return f"{brief or type(error).__name__}; for a server without Xet storage set HF_HUB_DISABLE_XET=1"
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return f"{brief}; log in: hf auth login, or a token that may do this in HF_TOKEN"
    return brief or type(error).__name__
