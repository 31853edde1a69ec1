"""Uploading a model directory to Hugging Face's hub."""

import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from kerasbert import checkpoints, files
from kerasbert.checkpoints import cards
from kerasbert.checkpoints.model_files import model_files
from kerasbert.errors import InputError
from kerasbert.recipes.options import UploadOptions
from kerasbert.training.progress import log


def upload(options: UploadOptions) -> dict[str, Any]:
    """Uploads a model, or says what would be uploaded; the model is checked first.

    A card that was edited on the hub is kept, unless the local one was edited, too.
    """
    directory = pathlib.Path(options.model)
    if not files.is_directory(directory):
        raise InputError(f"{options.model}: no such model directory")
    preset = checkpoints.load(directory)
    preset.backbone_config()  # its weights are complete
    if checkpoints.has_tokenizer(preset):
        checkpoints.load_tokenizer(preset)
    sizes = {}
    for path in model_files(preset):
        _check_is_inside(path, directory)
        sizes[path.relative_to(directory).as_posix()] = path.stat().st_size
    left_out = [name for name in _all_names(directory) if name not in sizes]
    for name, size in sizes.items():
        log(f"{size:>15,} bytes  {name}")
    for name in left_out:
        log(f"left out, no file of the format {preset.format}: {name}")
    license = cards.license_of(cards.read(directory)) if cards.NAME in sizes else None
    if cards.NAME not in sizes:
        log(f"{directory}: has no model card ({cards.NAME}); kerasbert convert writes one")
    elif license is None:
        log(
            f"{directory / cards.NAME}: names no license (license: unknown), so others can't know "
            "whether they may use the model; write one into its header, such as license: mit "
            f"({cards.LICENSES} lists the names)"
        )
    result = {
        "to": options.to,
        "files": len(sizes),
        "bytes": sum(sizes.values()),
        "left_out": left_out,
        "card": cards.NAME if cards.NAME in sizes else None,
        "license": license,
    }
    if options.dry_run:
        return {"dry_run": True, **result, "private": options.private}
    return {**result, **_send(directory, list(sizes), options)}


def _check_is_inside(path: pathlib.Path, directory: pathlib.Path) -> None:
    """Raises `InputError` for a link to a file that is not a part of the model.

    The files of a snapshot in Hugging Face's cache are links to the blobs of the same repository.
    """
    directory = directory.resolve()
    inside = [directory]
    if directory.parent.name == "snapshots":
        inside.append(directory.parent.parent / "blobs")
    if not any(path.resolve().is_relative_to(folder) for folder in inside):
        raise InputError(f"{path}: links to a file outside the directory; copy it there")


def _all_names(directory: pathlib.Path) -> Iterator[str]:
    """Yields the names of all files below a directory, except hidden ones and linked folders."""
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield pathlib.Path(folder, name).relative_to(directory).as_posix()


def _send(directory: pathlib.Path, names: list[str], options: UploadOptions) -> dict:
    """Creates the repository, unless it exists, and uploads the files in one commit."""
    import huggingface_hub as hub  # slow to import

    if hub.get_token() is None:
        raise InputError(
            "there is no token of Hugging Face: run hf auth login, or set HF_TOKEN to one that may "
            "write (https://huggingface.co/settings/tokens)"
        )
    api = hub.HfApi(library_name="kerasbert")
    try:
        api.create_repo(options.to, private=options.private or None, exist_ok=True)
        if cards.NAME in names and _keeps_card(hub, api, directory, options.to):
            names.remove(cards.NAME)
        files_to_add = [
            hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=directory / name)
            for name in names
        ]
        done = api.create_commit(options.to, files_to_add, commit_message="Upload with kerasbert")
    except Exception as error:  # the client also raises exceptions of its transport
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"{options.to}: can't be uploaded ({type(error).__name__}: {reason})"
        ) from error
    return {"url": str(done.repo_url), "commit": done.oid, "card_kept": cards.NAME not in names}


def _keeps_card(hub, api, directory: pathlib.Path, repository: str) -> bool:
    """Whether the repository keeps its card: a person's, where the local one is kerasbert's."""
    if not api.file_exists(repository, cards.NAME):
        return False
    with tempfile.TemporaryDirectory() as folder:
        hub.hf_hub_download(repository, cards.NAME, local_dir=folder)
        theirs = cards.read(folder)
    ours = cards.read(directory)
    if theirs == ours or not cards.is_edited(theirs):
        return False
    if cards.is_edited(ours):
        log(f"{repository}: its {cards.NAME} is replaced by the local one, which was edited")
        return False
    log(f"{repository}: its {cards.NAME} was edited on the hub, and is kept")
    return True
