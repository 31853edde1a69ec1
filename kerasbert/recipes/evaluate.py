"""Evaluating a model, or predictions from elsewhere."""

from typing import Any

from kerasbert import loading
from kerasbert.recipes.data_format import with_columns_of
from kerasbert.recipes.options import EvaluateOptions
from kerasbert.tasks import registry
from kerasbert.tasks.task import Task


def evaluate(options: EvaluateOptions) -> dict[str, Any]:
    """Scores a model or predictions on labeled examples, or a model on a corpus."""
    if options.predictions:
        metric = registry.get_metric(str(options.metric))
        scores = metric(options.data, options.predictions, options, options.no_answer_probabilities)
        return {"data": options.data, **scores}
    model: Any = loading.load_task(str(options.model), Task, **options.overrides)
    model.compile()
    spec = registry.spec_of(model)
    scores = spec.evaluate(
        model,
        options.data,
        with_columns_of(model, options, spec, options.data, labels=True),
        batch_size=options.batch_size,
        tune=options.tune_threshold,
        batches=options.num_batches,
        seed=options.seed,
        source=options.model,
    )
    return {"model": options.model, "data": options.data, **scores}
