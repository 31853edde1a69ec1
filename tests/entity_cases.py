"""How tags of neighbours are joined to entities, by `TokenClassifier.tag` and by the page."""

#: Pairs of the labels of words, and the entities: type, first word, and the one after the last.
CASES = (
    ((), []),
    (("O", "O"), []),
    (("B-x", "I-x", "B-x", "O", "I-x"), [("x", 0, 2), ("x", 2, 3), ("x", 4, 5)]),
    (("B-x", "I-y", "I-y"), [("x", 0, 1), ("y", 1, 3)]),
    (("I-x", "O", "B-x", "B-x"), [("x", 0, 1), ("x", 2, 3), ("x", 3, 4)]),
    # Classes that are no tags of entities are types, as in transformers.
    (("NOUN", "NOUN", "O", "NOUN", "VERB"), [("NOUN", 0, 2), ("NOUN", 3, 4), ("VERB", 4, 5)]),
    (("c", "I-c", "B-c", "c"), [("c", 0, 2), ("c", 2, 4)]),
    # Letters of other schemes are parts of the type.
    (
        ("B-x", "E-x", "E-x", "S-x", "L-x"),
        [("x", 0, 1), ("E-x", 1, 3), ("S-x", 3, 4), ("L-x", 4, 5)],
    ),
    (("B-", "I-", "B-O", "I-O", "B-B-x"), [("", 0, 2), ("B-x", 4, 5)]),
    (("b-x", "B", "B"), [("b-x", 0, 1), ("B", 1, 3)]),
)
