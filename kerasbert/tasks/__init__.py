"""Tasks: a backbone with a head and a preprocessor, one folder each, for all families."""

from kerasbert import lazy
from kerasbert.tasks.registry import TASKS

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Answer": "question_answerer",
        "Choice": "multiple_choice",
        "Entity": "token_classifier.entities",
        "Guess": "masked_lm",
        "Results": "results",
        "TaggedWord": "token_classifier.entities",
        "Task": "task",
        "register": "registry",
        **{name: entry.folder.removeprefix(f"{__name__}.") for name, entry in TASKS.items()},
    },
)
