"""Tasks: a backbone with a head and a preprocessor, one folder each, for all families.

Task                        what all tasks have
TextClassifier              one class, several labels or a number for a text or a pair
TokenClassifier             a label for each word, such as named entities
QuestionAnswerer            the answer to a question in a document of any length
MultipleChoice              the best of several choices
TextEmbedder                a vector for a text, for search and similarity
MaskedLM                    the tokens at [MASK]
Pretrainer                  MaskedLM that is also trained on pairs of sentences
ReplacedTokenDetector       which tokens of a text are not the original ones
Results                     a list of results, which becomes a table
Answer                      an answer of a QuestionAnswerer
Choice                      a choice of MultipleChoice
Entity                      an entity of a TokenClassifier
TaggedWord                  a word of it, with its label
Guess                       a token of a MaskedLM
register                    adds a task from outside the package
"""

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
