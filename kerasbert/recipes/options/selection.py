"""Options of what is read of the inputs, and of the program that finds duplicates."""

import dataclasses

from kerasbert.data.corpus.cleaning.filters import Filters
from kerasbert.data.corpus.cleaning.kinds import KINDS
from kerasbert.errors import InputError
from kerasbert.options import Options, Program, option
from kerasbert.recipes.options.shared import TEXT, check_file


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionOptions(Options):
    """Options of programs that read the text of a corpus."""

    input: list[str] = option(
        help="text, as in kerasbert build_vocab; may be repeated", reads=check_file
    )
    text_column: str = option("text", help="the key, column or feature with the text")
    filter: list[str] = option(
        [],
        help="leave out documents: min_characters=N, max_characters=N, max_non_letters=SHARE or "
        "language=CODES, such as en,de; may be repeated",
    )

    @property
    def filters(self) -> Filters:
        """The filters."""
        return Filters.parse(self.filter)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.filters


@dataclasses.dataclass(frozen=True, kw_only=True)
class FindDuplicatesOptions(SelectionOptions):
    """Options of `find_duplicates`."""

    program = Program(
        TEXT,
        "Finds repeated documents and paragraphs, for kerasbert prepare_corpus --duplicates.",
        ("--input 'text/*.txt' --dedup document --dedup near\n--output runs/mine/duplicates",),
    )

    dedup: list[str] = option(help="what to find: document, near, paragraph; may be repeated")
    output: str = option(help="file to write; must not exist")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_kinds(self.dedup)


def check_kinds(kinds: list[str]) -> None:
    """Raises `InputError` if one is no kind of duplicates."""
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"--dedup must be one of {', '.join(KINDS)}, found {kind!r}")
