"""The task spec of masked language modeling: unlabelled texts."""

from collections.abc import Mapping, Sequence

from kerasbert.data.examples import Examples, read_texts
from kerasbert.data.options import DataOptions, split_names
from kerasbert.features import TEXT
from kerasbert.tasks.masked_lm.model import MaskedLM
from kerasbert.tasks.spec import TaskSpec


class MaskedTexts(TaskSpec):
    """Unlabelled texts."""

    name = "masked_lm"
    task = MaskedLM
    data_options = ("text_column", "column_names")
    primary_metric = "perplexity"
    student_settings = ("dropout", "tied", "activation", "layer_norm_epsilon")

    def read(self, path: str, options: DataOptions) -> Examples:
        """Reads texts with `read_texts`."""
        return read_texts(
            path,
            text_column=options.text_column,
            column_names=split_names(options.column_names),
            strict=options.strict,
        )

    def answers(self, model: MaskedLM, columns: Mapping[str, Sequence]) -> list[dict]:
        """Returns the predictions for each mask token."""
        return [
            {
                "masks": [
                    [{"token": g.token, "score": round(g.score, 4)} for g in mask] for mask in masks
                ]
            }
            for masks in model.fill_mask(columns[TEXT], strict=False)
        ]


SPECS = (MaskedTexts(),)
