"""What is left out of a corpus: filters, and duplicates of documents and paragraphs."""
