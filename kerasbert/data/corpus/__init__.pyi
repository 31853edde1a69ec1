# Written by tests/stubs.py.

from kerasbert.data.corpus.cleaning.duplicates import Duplicates as Duplicates
from kerasbert.data.corpus.cleaning.filters import Filters as Filters
from kerasbert.data.corpus.cleaning.finding import find_duplicates as find_duplicates
from kerasbert.data.corpus.cleaning.selection import Selection as Selection
from kerasbert.data.corpus.documents.reading import read_documents as read_documents
from kerasbert.data.corpus.joining import join_corpora as join_corpora
from kerasbert.data.corpus.part import Part as Part
from kerasbert.data.corpus.prepare import prepare_corpus as prepare_corpus
from kerasbert.data.corpus.reader import Corpus as Corpus
from kerasbert.data.corpus.reader import same_vocabulary as same_vocabulary
from kerasbert.data.corpus.words import WordFinder as WordFinder
from kerasbert.data.corpus.writer import CorpusWriter as CorpusWriter

__all__ = [
    "Corpus",
    "CorpusWriter",
    "Duplicates",
    "Filters",
    "Part",
    "Selection",
    "WordFinder",
    "find_duplicates",
    "join_corpora",
    "prepare_corpus",
    "read_documents",
    "same_vocabulary",
]
