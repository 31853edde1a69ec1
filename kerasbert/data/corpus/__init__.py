"""Corpora: reading of raw text, preparation, and files with random access.

prepare_corpus              tokenizes text into a corpus
Corpus                      reads a corpus
CorpusWriter                writes tokenized sentences to a corpus
read_documents              reads the documents of text files, of data sets and of stores
Selection                   what of the text is read
Filters                     documents that are left out
find_duplicates             finds repeated documents and paragraphs
Duplicates                  what it returns
WordFinder                  finds words in text without spaces
Part                        a share of the text, to prepare it in parts
join_corpora                joins the parts
same_vocabulary             checks that corpora have one vocabulary
"""

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
