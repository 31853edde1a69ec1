"""Segmenters: functions that divide texts without spaces between words, such as Chinese."""

import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Sequence

from kerasbert.errors import InputError, shown

#: From texts to the words of each. Joined, they are the text without white space.
Segmenter = Callable[[list[str]], Sequence[Sequence[str]]]


def check_name(name: str) -> None:
    """Raises `InputError` unless this can be the name of a segmenter."""
    module, _, function = name.partition(":")
    if name not in ("none", "jieba") and not (module and function):
        raise InputError(f"word_segmenter must be none, jieba or module:function, found {name!r}")


def load_segmenter(name: str) -> tuple[str, Segmenter]:
    """Returns a segmenter, and its name for the manifest of a corpus.

    Args:
        name: "jieba", or "module:function" for a function from a list of strings to a list of lists
            of words.

    Raises:
        InputError: there is no such module or function.
    """
    if name == "jieba":
        return _jieba()
    check_name(name)
    module, _, function = name.partition(":")
    try:
        imported = importlib.import_module(module)
    except (ImportError, TypeError, ValueError) as error:
        raise InputError(
            f"word_segmenter {name}: can't import {module} ({error}); PYTHONPATH must have its "
            "directory"
        ) from None
    if not callable(getattr(imported, function, None)):
        raise InputError(f"word_segmenter {name}: {module} has no function {function!r}")
    return name, getattr(imported, function)


def _jieba() -> tuple[str, Segmenter]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of its old Python
            import jieba  # an extra
    except ModuleNotFoundError:
        raise InputError(
            "word_segmenter jieba: jieba is not installed: pip install 'kerasbert[chinese]'"
        ) from None
    tokenizer = jieba.Tokenizer()
    # What its `initialize` does, but for a cache in the temporary directory, where anyone may have
    # put another one.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    version = importlib.metadata.version("jieba")
    return f"jieba {version}", lambda texts: [tokenizer.lcut(text) for text in texts]


def words_of(name: str, segmenter: Segmenter, texts: list[str]) -> list[list[str]]:
    """Returns the words of texts, without white space.

    Raises:
        InputError: joined, the words are not the text without white space.
    """
    found = segmenter(texts)
    if not isinstance(found, Sequence) or len(found) != len(texts):
        raise InputError(
            f"word_segmenter {name}: expected a list for each of {len(texts)} texts, found "
            f"{shown(found)}"
        )
    words = [["".join(word.split()) for word in _strings(name, one)] for one in found]
    for text, own in zip(texts, words, strict=True):
        if "".join(own) != "".join(text.split()):
            raise InputError(
                f"word_segmenter {name}: joined, the words {shown(own)} are not {shown(text)} "
                "without white space"
            )
    return words


def _strings(name: str, words) -> Sequence[str]:
    is_list = isinstance(words, Sequence) and not isinstance(words, str)
    if not is_list or not all(isinstance(word, str) for word in words):
        raise InputError(
            f"word_segmenter {name}: expected a list of words for each text, found {shown(words)}"
        )
    return words
