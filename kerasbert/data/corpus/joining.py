"""Joining of the parts of a corpus: files are linked, and indexes are shifted and appended."""

from __future__ import annotations

import concurrent.futures
import errno
import itertools
import logging
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from kerasbert import files
from kerasbert.data.corpus.manifest import (
    COUNTS,
    DOCUMENTS,
    INDEX_TYPE,
    SENTENCES,
    metadata_of,
    read_manifest,
    shard_name,
    token_type,
    words_name,
    write_manifest,
)
from kerasbert.data.corpus.writer import GrowingFile, check_shards
from kerasbert.errors import InputError, escaped
from kerasbert.text import load_tokenizer, save_assets

_logger = logging.getLogger(__name__)
_NUMBERS_PER_BLOCK = 1 << 20
# The errors of file systems without hard links, and between file systems.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_MOST_NAMED = 10  # missing parts in an error


class _Part:
    """A part, with its manifest."""

    def __init__(self, directory: str | os.PathLike):
        self.directory = pathlib.Path(directory)
        self.manifest = read_manifest(self.directory)
        if "part" not in self.manifest:
            raise InputError(f"{directory}: is a whole corpus, not a part of one")
        self.entry = self.manifest["part"]
        if not 1 <= self.number <= self.entry["of"]:
            raise InputError(f"{directory}: can't be part {self.number} of {self.entry['of']}")

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.entry["number"]


def join_corpora(
    parts: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    verify: bool = True,
    progress: Callable[[int], object] = lambda parts: None,
) -> dict[str, Any]:
    """Joins the parts of a corpus to the corpus that `prepare_corpus` would have made at once.

    The shards become hard links to those of the parts; they are copied only to another file system,
    or where there are no hard links. The parts stay as they are, and can be removed.

    Args:
        parts: paths of the directories of all parts, in any order.
        output: path of the directory, which must not exist; it appears when it is complete.
        verify: whether to compare the SHA-256 of every file, which reads all of them once.
        progress: function that is called with 1 after every part that was verified.

    Returns:
        Dict, the manifest of the corpus.

    Raises:
        InputError: a part is missing, given twice or damaged, or parts do not belong together;
            `output` exists.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> for number in (1, 2):
        ...     part = kerasbert.data.corpus.Part(number, of=2)
        ...     manifest = kerasbert.data.prepare_corpus(
        ...         ["text.txt"], tokenizer, f"part{number}", part=part, bytes_per_unit=24
        ...     )
        >>> manifest = kerasbert.data.corpus.join_corpora(["part1", "part2"], "corpus")
        >>> manifest["documents"], manifest["tokens"]
        (2, 14)
    """
    files.refuse_existing(output)  # before the parts are read
    joined = _in_order([_Part(directory) for directory in parts])
    tokenizer_config = joined[0].manifest["tokenizer"]
    tokenizer = load_tokenizer(joined[0].directory, tokenizer_config)
    _check_files(joined, token_type(tokenizer.vocabulary_size).itemsize, verify, progress)
    check_shards(sum(len(part.manifest["shards"]) for part in joined))
    counts = {name: sum(part.manifest[name] for part in joined) for name in COUNTS}
    if not counts["tokens"]:
        raise InputError(f"{joined[0].directory} and the other parts have no text")
    metadata = _joined_metadata(joined)
    with files.new_directory(output) as directory:
        shards = _link_files(joined, directory, "shards", shard_name)
        words = _link_files(joined, directory, "words", words_name)
        index = [
            _append_indexes(joined, directory, SENTENCES, "tokens"),
            _append_indexes(joined, directory, DOCUMENTS, "sentences"),
        ]
        save_assets(tokenizer, directory)
        return write_manifest(
            directory, counts, metadata, tokenizer_config, shards, index, words or None
        )


def _in_order(parts: list[_Part]) -> list[_Part]:
    """Returns parts by number, after checking that they are all parts of one corpus."""
    if not parts:
        raise InputError("no part is given")
    first = parts[0]
    for part in parts[1:]:
        _check_same(first, part)
    by_number: dict[int, _Part] = {}
    for part in parts:
        if other := by_number.get(part.number):
            raise InputError(
                f"{other.directory} and {part.directory} are both part {part.number} of "
                f"{part.entry['of']}"
            )
        by_number[part.number] = part
    count = first.entry["of"]
    if missing := count - len(by_number):
        every = (str(number) for number in range(1, count + 1) if number not in by_number)
        named = ", ".join(itertools.islice(every, _MOST_NAMED))
        more = f" and {missing - _MOST_NAMED:,} more" if missing > _MOST_NAMED else ""
        raise InputError(f"of {count:,} parts, these are missing: {named}{more}")
    return [by_number[number] for number in range(1, count + 1)]


def _check_same(one: _Part, other: _Part) -> None:
    """Raises `InputError` unless two parts are of the same corpus."""
    names = f"{other.directory} and {one.directory}"
    if one.manifest["tokenizer"] != other.manifest["tokenizer"]:
        raise InputError(f"{names} were prepared with different tokenizers")
    if one.entry["of"] != other.entry["of"]:
        counts = f"{other.entry['of']} and {one.entry['of']}"
        raise InputError(f"{names} are of corpora in {counts} parts")
    settings, others = one.entry["settings"], other.entry["settings"]
    for name in {**settings, **others}:
        if settings.get(name) != others.get(name):
            raise InputError(
                f"{names} were prepared with different settings: "
                f"{name} is {others.get(name)!r} and {settings.get(name)!r}"
            )
    if one.entry["inputs_sha256"] != other.entry["inputs_sha256"]:
        raise InputError(f"{names} were prepared from different inputs, or these have changed")


def _check_files(
    parts: list[_Part], token_bytes: int, verify: bool, progress: Callable[[int], object]
) -> None:
    """Raises `InputError` if a file of a part is missing or damaged."""

    def check(part):
        for metadata in part.manifest["shards"]:
            _check_file(part.directory, metadata, 8 * token_bytes, verify)
        for metadata in part.manifest["index"]:
            _check_file(part.directory, metadata, 8 * INDEX_TYPE.itemsize, verify)
        for metadata in part.manifest.get("words", []):
            _check_file(part.directory, metadata, 1, verify)

    with concurrent.futures.ThreadPoolExecutor() as pool:  # hashing releases the lock
        for _ in pool.map(check, parts):
            progress(1)


def _check_file(directory: pathlib.Path, metadata: dict, bits: int, verify: bool) -> None:
    path = directory / metadata["file"]
    if not path.is_file():
        raise InputError(f"{path}: is missing; prepare this part again")
    damaged = (
        metadata["count"] < 1
        or path.stat().st_size != -(-metadata["count"] * bits // 8)
        or (verify and files.sha256(path) != metadata["sha256"])
    )
    if damaged:
        what = "SHA-256" if verify else "size"
        raise InputError(f"{path}: is damaged (its {what} differs); prepare this part again")


def _link_files(
    parts: list[_Part], directory: pathlib.Path, kind: str, name_of: Callable[[int], str]
) -> list[dict]:
    """Links all files of a kind into a directory; returns their entries in the manifest."""
    found, linked = [], True
    for part in parts:
        for metadata in part.manifest.get(kind, []):
            name = name_of(len(found))
            source, target = part.directory / metadata["file"], directory / name
            if not _link(source, target):
                if linked:
                    _logger.warning(
                        "%s: can't be linked, so shards are copied", escaped(str(source))
                    )
                linked = False
                shutil.copyfile(source, target)
            found.append({**metadata, "file": name})
    return found


def _link(source: pathlib.Path, target: pathlib.Path) -> bool:
    """Makes a hard link; returns whether the file systems allow it."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _append_indexes(parts: list[_Part], directory: pathlib.Path, name: str, counted: str) -> dict:
    """Writes an index of the whole corpus, in constant memory; returns its entry.

    Args:
        parts: all parts in order.
        directory: path of the corpus.
        name: name of the index.
        counted: what its numbers are positions of, "tokens" or "sentences".
    """
    index = GrowingFile(directory / name, INDEX_TYPE)
    before = 0
    for part in parts:
        positions = np.memmap(part.directory / name, INDEX_TYPE, "r")
        # The end of this index is the start of the next one.
        for start in range(0, len(positions) - 1, _NUMBERS_PER_BLOCK):
            stop = min(start + _NUMBERS_PER_BLOCK, len(positions) - 1)
            index.append(before + positions[start:stop])
        before += part.manifest[counted]
    index.append(np.array([before]))
    return index.close()


def _joined_metadata(parts: list[_Part]) -> dict:
    """Returns what the manifest of the whole corpus says beside counts and files."""
    everything = [metadata_of(part.manifest) for part in parts]
    for metadata in everything:
        del metadata["part"]
    settings = parts[0].entry["settings"]  # which all parts share
    joined = {
        name: value if name in settings else _added_up([one.get(name) for one in everything])
        for name, value in everything[0].items()
    }
    joined["inputs"] = []
    for part in parts:
        first, inputs = part.entry["first_input"], part.manifest.get("inputs", [])
        joined["inputs"][first : first + len(inputs)] = inputs  # two parts can share one
    return joined


def _added_up(values: list):
    """Adds up numbers, or the numbers in dicts; returns the first of other values."""
    first = values[0]
    if isinstance(first, dict):
        named = [value for value in values if isinstance(value, dict)]
        return {key: _added_up([value.get(key) for value in named]) for key in first}
    if type(first) in (int, float):
        return sum(value for value in values if type(value) in (int, float))
    return first
