"""Token features of texts, for a model that was exported for another runtime.

This module needs NumPy and one of `tokenizers` and `sentencepiece`, and nothing of kerasbert or
TensorFlow. Each export contains it as `encode.py`, so a service needs the export alone:

    from encode import Encoder

    encoder = Encoder(".")
    features = encoder(text=["a fine day", "a bad idea"])

The ids are those of the exported model's own text ops. What can't be exactly that is a
`ValueError` of one line.
"""

import array
import json
import pathlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

# White_Space of Unicode.
_WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_QUESTION = ("question", "context")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Encoder:
    """Turns texts into the features of an exported model.

    Examples:
        The first lines export a model with random weights for LiteRT; ONNX and OpenVINO are the
        same.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer
        ... )
        >>> model.export("exports/opinions", format="litert", length=8, check=False)
        >>> encoder = kerasbert.serving.Encoder("exports/opinions")
        >>> features = encoder(text=["a fine day"])
        >>> features["token_ids"].tolist()
        [[2, 5, 7, 8, 3, 0, 0, 0]]
        >>> encoder.export["inputs"], encoder.export["sequence_length"]
        (['text'], 8)

    Args:
        directory: the export's directory.

    Raises:
        ValueError: it is no export, or a file in it is damaged.
    """

    def __init__(self, directory: Any):
        directory = pathlib.Path(directory)
        #: What `export.json` says of the model: its inputs and outputs, class names, lengths.
        self.export = _read(directory / "export.json")
        if random := self.export.get("uninitialized_weights"):
            warnings.warn(
                f"{directory}: what the model answers depends on weights that were initialized at "
                f"random and not trained since: {', '.join(random[:3])}",
                stacklevel=2,
            )
        self._settings = _read(directory / "encoder.json")
        libraries = {"tokenizers": _Tokenizers, "sentencepiece": _SentencePiece}
        self._ids_of = libraries[self._settings["library"]](directory, self._settings)

    def __call__(self, **columns: Any) -> dict[str, Any]:
        """Encodes texts.

        Args:
            **columns: a list of strings for each of the export's inputs, such as `text` and
                `text_pair`; for `words`, lists of strings.

        Returns:
            Arrays of the model's features by name, int32 (batch, sequence), padded to the longest
            row; or of the export's fixed shape, in which the last rows may be empty texts.

        Raises:
            ValueError: an input is missing or unknown, a value is no text, or the ids can't be
                exactly those of the model.
        """
        _check(columns, self.export["inputs"])
        return self._features(self._rows(columns))

    def batches(self, tokens: int = 512, **columns: Any) -> Iterator[tuple[list[int], dict]]:
        """Encodes many texts in batches of similar length, so that little of them is padding.

        Args:
            tokens: the most tokens of a batch, its rows times the longest one; a longer row is a
                batch of its own. A model of a fixed shape gets batches of its number of rows.
            **columns: as in a call.

        Returns:
            An iterator of the positions of a batch's texts in the columns, from 0, and their
            features.

        Raises:
            ValueError: as in a call, or `tokens` is less than 1.

        Examples:
            >>> for places, features in encoder.batches(text=["a fine day", "day"]):
            ...     print(places, features["token_ids"].tolist())
            [1] [[2, 8, 3, 0, 0, 0, 0, 0]]
            [0] [[2, 5, 7, 8, 3, 0, 0, 0]]
        """
        _check(columns, self.export["inputs"])
        if tokens < 1:
            raise ValueError(f"tokens must be 1 or more, found {tokens}")
        return self._batches(self._rows(columns), tokens)

    def first_tokens(self, words: Any) -> list[Any]:
        """Returns the position of each word's first token, a list for each sentence.

        Args:
            words: lists of words.

        Raises:
            ValueError: they are no lists of strings, or the ids can't be exactly those of the
                model.

        Examples:
            >>> encoder.first_tokens([["a", "fine", "day"]])
            [[1, 2, 3]]
        """
        _check({"words": words}, ["words"])
        return [
            [1 + sum(map(len, ids[:number])) for number in range(len(ids))]
            for ids in map(self._ids_of_words, words)
        ]

    # === Rows of ids and segments ===

    def _rows(self, columns: dict) -> list:
        if "words" in columns:
            return [self._sentence(words) for words in columns["words"]]
        if "question" in columns:
            return list(map(self._window, *(self._ids_of(columns[key]) for key in _QUESTION)))
        texts = [self.export["prompt"] + text for text in columns["text"]]
        if "text_pair" not in columns:
            return [self._row(ids) for ids in self._ids_of(texts)]
        return list(map(self._row, self._ids_of(texts), self._ids_of(columns["text_pair"])))

    def _sentence(self, words) -> tuple:
        ids = [id for own in self._ids_of_words(words) for id in own]
        room = self._length - 2
        if len(ids) > room:
            raise ValueError(f"a sentence has {len(ids)} tokens, the model reads {room}: divide it")
        return self._row(ids)

    def _ids_of_words(self, words) -> list:
        """Returns the ids of each word; one without tokens is unknown."""
        return [ids or [self._settings["unknown_id"]] for ids in self._ids_of(words)]

    def _window(self, question: list, context: list) -> tuple:
        room = self._length - 2 - self._settings["separators"]
        question = question[: min(self.export["max_question_length"], room // 2)]
        room -= len(question)
        if len(context) > room:
            raise ValueError(
                f"a context has {len(context)} tokens, the model reads {room} beside this "
                "question: divide it"
            )
        return self._row(question, context)

    def _row(self, first: list, second: list | None = None) -> tuple:
        """Returns ids and segments of a text or a pair, with special tokens, truncated."""
        cls, sep = self._settings["cls_id"], self._settings["sep_id"]
        if second is None:
            ids = [cls, *first[: self._length - 2], sep]
            return ids, [0] * len(ids)
        separators = self._settings["separators"]
        room = self._length - 2 - separators
        # Tokens are dropped from the end of the longer text; of equal ones, of the second.
        keep = min(len(first), max(room - len(second), (room + 1) // 2))
        second = second[: min(len(second), max(room - len(first), room // 2))]
        before = [cls, *first[:keep], *[sep] * separators]
        segment = int(self._settings["segments"])
        return [*before, *second, sep], [0] * len(before) + [segment] * (len(second) + 1)

    @property
    def _length(self) -> int:
        return self.export["sequence_length"]

    # === Features ===

    def _batches(self, rows: list, tokens: int) -> Iterator[tuple[list[int], dict]]:
        shape = self.export["shape"]
        places: list[int] = []
        for place in sorted(range(len(rows)), key=lambda place: len(rows[place][0])):
            count = len(places) + 1  # this row is the longest
            if places and (count > shape[0] if shape else count * len(rows[place][0]) > tokens):
                yield places, self._features([rows[one] for one in places])
                places = []
            places.append(place)
        if places:
            yield places, self._features([rows[one] for one in places])

    def _features(self, rows: list) -> dict:
        if self.export["shape"]:
            rows = rows + [self._row([])] * (self.export["shape"][0] - len(rows))
            if len(rows) > self.export["shape"][0]:
                raise ValueError(
                    f"the model takes {self.export['shape'][0]} rows at once, found {len(rows)}"
                )
        shape = self.export["shape"] or [len(rows), max([2, *(len(ids) for ids, _ in rows)])]
        features = {
            "token_ids": np.full(shape, self._settings["pad_id"], "int32"),
            "padding_mask": np.zeros(shape, "int32"),
            "segment_ids": np.zeros(shape, "int32"),
        }
        for number, (ids, segments) in enumerate(rows):
            features["token_ids"][number, : len(ids)] = ids
            features["padding_mask"][number, : len(ids)] = 1
            features["segment_ids"][number, : len(ids)] = segments
        if "mask_positions" in self.export["features"]:
            features["mask_positions"] = self._mask_positions(features["token_ids"])
        return features

    def _mask_positions(self, token_ids) -> np.ndarray:
        """Returns where the mask tokens are, int32 (batch, masks); unused entries are 0."""
        places = [np.flatnonzero(row == self._settings["mask_id"]) for row in token_ids]
        width = max([1, *map(len, places)])
        if self.export["shape"]:
            width = self.export["features"]["mask_positions"][1]
        positions = np.zeros((len(places), width), "int32")
        for number, own in enumerate(places):
            if len(own) > width:
                raise ValueError(f"a text has {len(own)} masks, the model takes {width}")
            positions[number, : len(own)] = own
        return positions


def _read(path: pathlib.Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; an export has this file") from None
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error}); export the model again") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: is no JSON object; export the model again")
    return found


def _check(columns: dict, inputs: list) -> None:
    if sorted(columns) != sorted(inputs):
        raise ValueError(f"the model takes {', '.join(inputs)}, found {', '.join(columns)}")
    for name, column in columns.items():
        is_nested = name == "words" and _is_list(column)
        for texts in column if is_nested else [column]:
            if not (_is_list(texts) and all(isinstance(text, str) for text in texts)):
                wanted = "lists of strings" if name == "words" else "strings"
                raise ValueError(f"{name} must be a list of {wanted}")
            if any(map(_SURROGATE.search, texts)):
                raise ValueError(f"{name} holds a surrogate, which is no character")
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(f"{' and '.join(columns)} differ in length")


def _is_list(value: Any) -> bool:
    """Whether a value is a list, tuple or array: no string, and nothing that can be read once."""
    return hasattr(value, "__len__") and not isinstance(value, str | bytes)


class _Tokenizers:
    """Ids by `tokenizers`, whose Unicode tables are set right."""

    def __init__(self, directory: pathlib.Path, settings: dict):
        import tokenizers

        if ".".join(tokenizers.__version__.split(".")[:2]) != settings["version"]:
            raise ValueError(
                f"the export was checked with tokenizers {settings['version']}, found "
                f"{tokenizers.__version__}: install that version, or export the model again"
            )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._replaced = str.maketrans(settings.get("characters", {}))
        refused = settings.get("refused", "")
        if settings.get("refuses_replaced"):
            refused += "".join(settings["characters"])
        self._refused = {*refused}

    def __call__(self, texts) -> list:
        for text in texts:
            if not self._refused.isdisjoint(text):
                found = next(character for character in text if character in self._refused)
                raise ValueError(f"tokenizers reads U+{ord(found):04X} differently than the model")
        texts = [text.translate(self._replaced) for text in texts]
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [one.ids for one in encoded]


class _SentencePiece:
    """Ids by `sentencepiece`, of which only the normalization is used.

    Where two ways to split a text are equally good in single precision, versions of the library
    take different ones; this search takes that of the model's own ops.
    """

    def __init__(self, directory: pathlib.Path, settings: dict):
        import sentencepiece

        model = sentencepiece.SentencePieceProcessor(
            model_file=str(directory / "sentencepiece.model")
        )
        self._normalize = model.normalize
        self._characters = str.maketrans(settings["characters"])
        self._quotes = re.compile("``|''") if settings["replaces_quotes"] else None
        self._first_ids, self._shift = settings["first_ids"], settings["shift"]
        self._added = {token["content"]: token["id"] for token in settings["tokens"]}
        self._matches = _pattern(settings["tokens"])
        self._unknown = model.unk_id()
        pieces = [
            (id, model.id_to_piece(id), model.get_score(id))
            for id in range(model.get_piece_size())
            if not any(of_no_text(id) for of_no_text in (model.is_control, model.is_unknown))
            if not any(of_no_text(id) for of_no_text in (model.is_unused, model.is_byte))
        ]
        own = {*settings["user_defined"]}
        scores = [score for id, _, score in pieces if id not in own]
        self._unknown_score = _single(min(scores) - 10.0)
        # The library takes 0.1 from a score of almost 0.
        self._pieces = {text: (id, -0.1 if id in own else score) for id, text, score in pieces}
        self._longest: dict[str, int] = {}
        for text in self._pieces:
            self._longest[text[0]] = max(len(text), self._longest.get(text[0], 0))

    def __call__(self, texts) -> list:
        return [self._ids(text) for text in texts]

    def _ids(self, text: str) -> list:
        if self._matches is None:
            return self._segment(text)
        ids, start = [], 0
        for match in self._matches.finditer(text):
            ids += self._segment(text[start : match.start()])
            ids.append(self._added[match[match.lastindex or 0]])
            start = match.end()
        return ids + self._segment(text[start:])

    def _segment(self, text: str) -> list:
        if self._quotes:
            text = self._quotes.sub('"', text)
        text = self._normalize(text.translate(self._characters))
        first, shift = self._first_ids, self._shift
        return [first[id] if id < len(first) else id + shift for id in self._best(text)]

    def _best(self, text: str) -> list:
        """Returns the ids of the best way to split a text; neighboring unknowns are one."""
        count = len(text)
        # Single precision, as in the library; a later way must be better to be taken.
        scores = array.array("f", bytes(4 * (count + 1)))
        starts, ids = [-1] * (count + 1), [self._unknown] * (count + 1)
        for start in range(count):
            so_far, is_single = scores[start], False
            longest = min(self._longest.get(text[start], 0), count - start)
            for end in range(start + 1, start + longest + 1):
                piece = self._pieces.get(text[start:end])
                if piece is None:
                    continue
                is_single |= end == start + 1
                score = piece[1] + so_far
                if starts[end] < 0 or score > scores[end]:
                    scores[end], starts[end], ids[end] = score, start, piece[0]
            if not is_single:
                score = _single(self._unknown_score + so_far)
                if starts[start + 1] < 0 or score > scores[start + 1]:
                    scores[start + 1], starts[start + 1] = score, start
                    ids[start + 1] = self._unknown
        found, end = [], count
        while end > 0:
            if not (found and found[-1] == ids[end] == self._unknown):
                found.append(ids[end])
            end = starts[end]
        return found[::-1]


def _single(number: float) -> float:
    """Rounds to single precision."""
    return array.array("f", [number])[0]


def _pattern(tokens: list):
    """Returns the pattern of added tokens, the longest first; None without tokens."""
    if not tokens:
        return None
    spelled = [
        (f"[{_WHITE_SPACE}]*" if token["lstrip"] else "")
        + f"({re.escape(token['content'])})"
        + (f"[{_WHITE_SPACE}]*" if token["rstrip"] else "")
        for token in sorted(tokens, key=lambda token: -len(token["content"]))
    ]
    return re.compile("|".join(spelled))
