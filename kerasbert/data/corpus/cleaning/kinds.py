"""The kinds of duplicates."""

#: In the order in which they are found: equal documents, near-duplicates, equal paragraphs.
KINDS = ("document", "near", "paragraph")
