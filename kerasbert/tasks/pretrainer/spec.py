"""The task spec of pretrained models: scored on a corpus, otherwise like `MaskedLM`."""

from kerasbert.tasks.masked_lm.spec import MaskedTexts
from kerasbert.tasks.pretrainer.model import Pretrainer


class Pretraining(MaskedTexts):
    """Unlabeled texts; for scores, a corpus."""

    task = Pretrainer
    reads_corpora_only = True


SPECS = (Pretraining(),)
