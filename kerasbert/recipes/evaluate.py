"""Model + data, or predictions + data -> metrics."""

from kerasbert import zoo
from kerasbert.recipes.options import EvaluateOptions
from kerasbert.tasks import registry
from kerasbert.tasks.task import Task


def evaluate(options: EvaluateOptions) -> dict:
    """Measures a model, or somebody's predictions, on data."""
    if options.predictions:
        metric = registry.get_metric(options.metric)
        scores = metric(options.data, options.predictions, options, options.no_answer)
        return {"data": options.data, **scores}
    model = zoo.load_task(options.model, Task, **options.overrides)
    model.compile()
    scores = registry.spec_of(model).evaluate(
        model,
        options.data,
        options,
        batch_size=options.batch_size,
        tune=options.tune_threshold,
        batches=options.batches,
        seed=options.seed,
        source=options.model,
    )
    return {"model": options.model, "data": options.data, **scores}
