"""Pretraining a model on a corpus."""

import functools
from typing import Any

import keras
import numpy as np

from kerasbert import lazy
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.data.corpus.reader import Corpus, same_vocabulary
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.data.pretraining.mixture import Mixture, most_frequent_token
from kerasbert.data.pretraining.phases import PhasedBatches
from kerasbert.data.pretraining.similar_words import SimilarWords
from kerasbert.errors import InputError, about
from kerasbert.features import NSP_LOGITS
from kerasbert.recipes.compiling import compile_for
from kerasbert.recipes.continuing import checkpoint_to_continue, step_before_decay
from kerasbert.recipes.dry_run import dry_run
from kerasbert.recipes.model_cards import model_card
from kerasbert.recipes.options import PretrainOptions
from kerasbert.recipes.options.pretraining import RECIPES, Phase
from kerasbert.recipes.training import Run, begin, log_start
from kerasbert.tasks import MaskedLM, Pretrainer
from kerasbert.tasks.masked_lm.model import mlm_logits
from kerasbert.tasks.replaced_token_detector import ReplacedTokenPretrainer
from kerasbert.tasks.task import Task
from kerasbert.training.launch import spread
from kerasbert.training.strategies import sharded


def pretrain(options: PretrainOptions) -> dict[str, Any]:
    """Trains with MLM, alone or with NSP or SOP; returns the last metrics.

    `output/model` is written atomically when training has ended. The same command resumes an
    interrupted run from its last checkpoint.
    """
    if (result := spread(options.workers)) is not None:
        return result
    with begin(options, step_before_decay(options)) as strategy:
        return _pretrain(options, strategy)


def _pretrain(options: PretrainOptions, strategy) -> dict:
    corpora = [Corpus(path) for path in options.input_paths("corpus")]
    held_out = Corpus(options.validation_corpus) if options.validation_corpus else None
    same_vocabulary([*corpora, held_out or corpora[0]])
    corpus = corpora[0] if len(corpora) == 1 else Mixture(corpora, options.weights)
    start = functools.partial(checkpoint_to_continue, options)
    similar = similar_words(options, corpus)
    batches = all_phases(corpus, options, similar_words=similar)
    with lazy.quiet_imports():  # Keras imports TensorFlow here on JAX, too, if it is installed
        keras.utils.set_random_seed(options.seed)
    with strategy.scope():
        model = build(corpus, options)
    permanent = step_before_decay(options)
    run = None if options.dry_run else Run(options, strategy, start, permanent)
    described = _described(options, corpus, batches, similar)
    log_start(options, strategy, "pretrain", described, options.steps)
    if run is None:
        return dry_run(model, batches.dataset, options.steps, batches.boundaries)
    validation = held_out and make_batches(
        held_out,
        options,
        options.phases[-1],
        seed=options.seed + 1,
        similar_words=similar,
    )
    data = validation and sharded(validation.dataset(steps=options.validation_batches).cache())
    run.train(
        model,
        batches.dataset,
        options.steps,
        report_every=options.validation_interval,
        boundaries=batches.boundaries,
        validate=data and (lambda: model.evaluate(data, verbose=0, return_dict=True)),
        title=f"{options.start} on {corpus.directory.name}",
        verb="pretrain",
        scores=_scores(options),
    )
    report = run.report()
    trained_on = {
        path: one.num_documents
        for path, one in zip(options.input_paths("corpus"), corpora, strict=True)
    }
    held = {str(options.validation_corpus): held_out.num_documents} if held_out else {}
    card = model_card(
        options,
        report,
        initial=options.init,
        train=trained_on,
        validation=held,
        unit="documents",
    )
    result = {
        **run.finish(model, card),
        "train": {k: v for k, v in report.items() if not k.startswith("val_")},
    }
    if validation and report:
        result["held_out"] = _held_out(report, corpus, validation, options)
    return result


def _described(
    options: PretrainOptions,
    corpus: Corpus | Mixture,
    batches: PhasedBatches,
    similar: SimilarWords | None,
) -> str:
    """Returns a description of the data, and of the recipe that chose the options."""
    epochs = [f"{n:,.1f}" if n >= 1 else f"{n:.2g}" for n in batches.epochs(options.steps)]
    first, *others = batches.phases
    data = f"{first.windows:,} windows of {options.sequence_length} tokens, "
    if isinstance(corpus, Mixture):
        named = zip(epochs, corpus.corpora, strict=True)
        data += ", ".join(f"{count} epochs of {one.directory.name}" for count, one in named)
    else:
        data += f"{epochs[0]} epochs"
    for phase in others:
        shape = f"{phase.batch_size} x {phase.packer.sequence_length} tokens"
        data += f"; from step {phase.first_step:,} on {shape}"
    if isinstance(corpus, Mixture):
        data += f"; shares of the corpora: {corpus.described()}"
    if similar:
        data += f"; {len(similar.words):,} words of {options.similar_words} have similar ones"
    if options.recipe:
        values = {name: getattr(options, name) for name in RECIPES[options.recipe]}
        data += f"; recipe {options.recipe}: "
        data += " ".join(f"--{name}={value}" for name, value in values.items())
    return data


def similar_words(options: PretrainOptions, corpus: Corpus | Mixture) -> SimilarWords | None:
    """Returns the words that replace words, if the options name a file of word vectors."""
    if not options.similar_words:
        return None
    if options.on_jax:
        with lazy.quiet_imports():
            lazy.import_tensorflow(for_text=True)
    return SimilarWords.of(options.similar_words, corpus.tokenizer)


def all_phases(
    corpus: Corpus | Mixture, options: PretrainOptions, **arguments: Any
) -> PhasedBatches:
    """Returns the training batches of a run; other arguments as in `PretrainingBatches`."""
    phases, examples = [], 0
    starts = [phase.first_step for phase in options.phases]
    for phase, end in zip(options.phases, [*starts[1:], options.steps], strict=True):
        begin = {"first_step": phase.first_step, "first_example": examples}
        phases.append(make_batches(corpus, options, phase, seed=options.seed, **begin, **arguments))
        examples += (end - phase.first_step) * phase.batch_size
    return PhasedBatches(phases)


def make_batches(
    corpus: Corpus | Mixture, options: PretrainOptions, phase: Phase, **arguments: Any
) -> PretrainingBatches:
    """Returns the batches of a phase from corpora; other arguments as in the class."""
    return PretrainingBatches(
        corpus,
        phase.batch_size,
        phase.sequence_length,
        objective=options.objective,
        mask_rate=options.mask_rate,
        whole_word=options.whole_word_masking,
        mask_unit=options.mask_unit,
        pack_documents=options.pack_documents,
        **arguments,
    )


def build(corpus: Corpus | Mixture, options: PretrainOptions) -> Task:
    """Creates and compiles a model, with random weights or those of `options.init`."""
    rates = {"dropout": options.dropout, "attention_dropout": options.dropout}
    head = {
        "sequence_length": options.longest,
        "mask_rate": options.mask_rate,
        "whole_word": options.whole_word_masking,
        "mask_unit": options.mask_unit,
        "seed": options.seed,
    }
    task, compiling = MaskedLM, {"z_loss": options.z_loss}
    if options.objective == "rtd":
        task, compiling["detector_weight"] = ReplacedTokenPretrainer, options.detector_weight
        head = {"sequence_length": options.longest, "generator_size": options.generator_size}
    if options.pack_documents:
        head["packed"] = True
    if options.objective in ("nsp", "sop"):
        task, head["objective"] = Pretrainer, options.objective
    if options.init:
        model = task.from_preset(options.init, backbone=rates, dtype=options.dtype, **head)
        with about(f"--init={options.init}"):
            model.check_takes_text()
        assert model.tokenizer is not None
        if model.tokenizer.get_config() != corpus.tokenizer.get_config():
            raise InputError(
                f"{corpus.directory}: was not prepared with the tokenizer of {options.init}; "
                "use kerasbert prepare_corpus --tokenizer"
            )
    else:
        overrides = {"vocabulary_size": corpus.tokenizer.vocabulary_size, **rates}
        overrides |= {"pooler": task is Pretrainer, "padding_id": corpus.tokenizer.pad_id}
        config = BackboneConfig.from_preset(options.start, **overrides)
        model = task(Backbone(config, dtype=options.dtype), tokenizer=corpus.tokenizer, **head)
    starts = [phase.first_step for phase in options.phases[1:]]
    shapes = {(phase.sequence_length, phase.batch_size) for phase in options.phases}
    compile_for(
        options,
        model,
        options.steps,
        report_every=options.validation_interval,
        shapes=len(shapes),
        ends=(*starts, step_before_decay(options)),
        **compiling,
    )
    return model


def _scores(options: PretrainOptions) -> tuple[str, ...]:
    """Returns the names of the metrics that are plotted."""
    if options.objective == "mlm":
        return ("accuracy",)
    other = "rtd" if options.objective == "rtd" else "nsp"
    return ("mlm_logits_loss", "mlm_logits_accuracy", f"{other}_logits_accuracy")


def _held_out(
    report: dict, corpus: Corpus | Mixture, validation: PretrainingBatches, options: PretrainOptions
) -> dict:
    """Returns accuracies on held-out batches, and those of constant baselines.

    Args:
        report: metrics of the model.
        corpus: training corpus, which defines the most frequent token.
        validation: batches of held-out documents.
        options: options with the number of batches.
    """
    guess, right, followed, masked, rows = most_frequent_token(corpus), 0, 0, 0, 0
    alone, pairs = options.objective == "mlm", options.objective in ("nsp", "sop")
    data = validation.dataset(steps=options.validation_batches)
    for _, labels, weights in data.as_numpy_iterator():
        used = mlm_logits(weights) > 0
        right += np.sum(mlm_logits(labels)[used] == guess)
        masked += np.sum(used)
        if pairs:
            followed += np.sum(labels[NSP_LOGITS] == 0)
            rows += len(labels[NSP_LOGITS])
    result = {
        "mlm_loss": report["val_loss" if alone else "val_mlm_logits_loss"],
        "mlm_accuracy": report["val_accuracy" if alone else "val_mlm_logits_accuracy"],
        "mlm_baseline": float(right / masked),
    }
    if options.objective == "rtd":
        result["rtd_accuracy"] = report["val_rtd_logits_accuracy"]
    if pairs:
        result["nsp_accuracy"] = report["val_nsp_logits_accuracy"]
        result["nsp_baseline"] = float(max(followed, rows - followed) / rows)
    return {**result, "masked_tokens": int(masked)}
