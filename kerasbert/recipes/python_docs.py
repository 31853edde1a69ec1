"""English text on any machine with Python: the documentation of its packages."""

import ast
import concurrent.futures
import dataclasses
import hashlib
import multiprocessing
import pathlib
import re
import sysconfig
from collections.abc import Iterator
from typing import Any

#: Package name of documents that belong to Python itself.
PYTHON = "python"
_LARGEST_FILE = 1 << 20
_CHARACTERS_PER_PACKAGE = 2_000_000
_SKIPPED = {"test", "tests", "testing", "idlelib", "_vendor", "vendor", "site-packages"}
_MOSTLY_WORDS = 0.75  # minimum share of letters and spaces; other paragraphs are likely code
_SHORTEST = 40  # characters; shorter paragraphs are headings or names


@dataclasses.dataclass(frozen=True)
class Document:
    """The documentation of a module, or one of pydoc's topics.

    Attributes:
        name: name of the module or topic.
        package: name of the top-level package.
        paragraphs: English paragraphs, one line each.
    """

    name: str
    package: str
    paragraphs: list[str]

    def held_out(self, share: float) -> bool:
        """Whether the document is held out from training, by the hash of its name."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return int.from_bytes(digest[:4], "big") < share * (1 << 32)


def collect() -> list[Document]:
    """Collects documents from pydoc's topics, the standard library and installed packages.

    Docstrings are parsed from the source; only pydoc's topics are imported. Duplicate paragraphs
    are dropped.
    """
    seen: set[bytes] = set()
    documents = []
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(mp_context=context) as pool:
        packages = pool.map(_read_package, *zip(*_packages(), strict=True))
        for document in [*_topics(), *(doc for package in packages for doc in package)]:
            paragraphs = [text for text in document.paragraphs if _is_new(text, seen)]
            if paragraphs:
                documents.append(dataclasses.replace(document, paragraphs=paragraphs))
    return documents


def _is_new(paragraph: str, seen: set[bytes]) -> bool:
    # Paragraphs that only differ in punctuation and numbers count as duplicates.
    digest = hashlib.blake2b(re.sub(r"\W+|\d+", " ", paragraph).encode(), digest_size=12).digest()
    if digest in seen:
        return False
    seen.add(digest)
    return True


def _topics() -> Iterator[Document]:
    from pydoc_data.topics import topics

    for name, text in sorted(topics.items()):
        yield Document(f"pydoc.{name}", PYTHON, list(_paragraphs(text)))


def _packages() -> list[tuple[str, str]]:
    """Returns (package, path) of all installed pure-Python packages, in a fixed order."""
    paths = sysconfig.get_paths()
    libraries = [(PYTHON, paths["stdlib"])]
    for path in sorted(pathlib.Path(paths["purelib"]).iterdir()):
        if path.is_dir() and path.suffix == "" and any(path.rglob("*.py")):
            libraries.append((path.name, str(path)))
    return libraries


def _read_package(package: str, root: str) -> list[Document]:
    documents, characters = [], 0
    for path in sorted(pathlib.Path(root).rglob("*.py")):
        relative = path.relative_to(root).with_suffix("")
        if _SKIPPED & set(relative.parts) or characters > _CHARACTERS_PER_PACKAGE:
            continue
        name = ".".join([package, *relative.parts]).removesuffix(".__init__")
        paragraphs = [text for doc in _docstrings(path) for text in _paragraphs(doc)]
        if paragraphs:
            documents.append(Document(name, package, paragraphs))
            characters += sum(map(len, paragraphs))
    return documents


def _docstrings(path: pathlib.Path) -> Iterator[str]:
    source = path.read_bytes()
    if len(source) > _LARGEST_FILE or b'"""' not in source:
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # templates, and files for other versions of Python
        return
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    # Docstrings of modules, classes and their members, but not of functions inside functions.
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop(0)
        if text := ast.get_docstring(node):
            yield text
        if isinstance(node, ast.Module | ast.ClassDef):
            waiting += [child for child in node.body if isinstance(child, documented)]


def _paragraphs(text: str) -> Iterator[str]:
    """Yields the English paragraphs of a docstring, each as one line."""
    for block in re.split(r"\n\s*\n", text):
        if re.search(r">>>|^\s*(\.\.|@|\||\+-|```)", block, re.MULTILINE):
            continue
        paragraph = " ".join(block.split())
        words = sum(character.isalpha() or character == " " for character in paragraph)
        if len(paragraph) >= _SHORTEST and words >= _MOSTLY_WORDS * len(paragraph):
            yield paragraph
