"""Corpora: reading of raw text, preparation, and files with random access."""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Corpus": "reader",
        "Duplicates": "cleaning.duplicates",
        "Filters": "cleaning.filters",
        "Selection": "cleaning.selection",
        "find_duplicates": "cleaning.finding",
        "CorpusWriter": "writer",
        "Part": "part",
        "WordFinder": "words",
        "join_corpora": "joining",
        "prepare_corpus": "prepare",
        "read_documents": "documents.reading",
        "same_vocabulary": "reader",
    },
)
