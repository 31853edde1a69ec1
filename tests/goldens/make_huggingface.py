"""Writes the fixtures in `tests/goldens/huggingface/`: tiny random models and their outputs.

Needs torch and transformers, which are no dependencies of the project: run it by hand, in its own
environment, to add a model:

    pip install torch==2.15.0 transformers==5.23.0
    python tests/goldens/make_huggingface.py

Each directory contains the files of `save_pretrained` (`config.json` and safetensors), and
`inputs_outputs.npz`: the inputs by name, and the outputs in float32 (`hidden_state_0` to `_N` and
`attention_0` to `_N` for models without a head, and `last_hidden_state`, `pooler_output`,
`logits`, ... under transformers' names).
"""

import pathlib
import shutil
import zlib

import numpy as np
import torch
import transformers

GOLDENS = pathlib.Path(__file__).resolve().parent / "huggingface"
BATCH, LENGTH = 3, 9
LENGTHS = [9, 6, 4]

SENTIMENT = {"id2label": {0: "negative", 1: "neutral", 2: "positive"}}
ENTITIES = {"id2label": {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}}
# With 1e-12 or 1e-5, a head with the wrong epsilon would give the same float32 outputs.
LARGE_EPSILON = {"layer_norm_eps": 0.01}
# Some heads have their own activation, which only shows if the layers have another one.
RELU = {"hidden_act": "relu"}

BERT = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}
# As in published checkpoints: one token type, and pad_token_id + 1 positions that no text uses.
ROBERTA = {**BERT, "max_position_embeddings": 22, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
ALBERT = {**BERT, "embedding_size": 8, "num_hidden_layers": 3}
DISTILBERT = {
    "vocab_size": 40,
    "dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 24,
    "max_position_embeddings": 20,
}
ELECTRA = {**BERT, "embedding_size": 8}
ERNIE = {**BERT, "max_position_embeddings": 21, "hidden_act": "relu"}

# Directory, class, configuration, and options of save_pretrained.
MODELS = [
    ("bert", "BertModel", BERT),
    (
        "bert_gelu_new",
        "BertModel",
        {
            **BERT,
            "hidden_act": "gelu_new",
            "layer_norm_eps": 1e-5,
            "type_vocab_size": 3,
            "pad_token_id": 5,
        },
    ),
    ("bert_sharded", "BertModel", BERT, {"max_shard_size": "10KB"}),
    ("bert_pretraining", "BertForPreTraining", BERT),
    ("bert_masked_lm", "BertForMaskedLM", BERT | LARGE_EPSILON),
    ("bert_masked_lm_untied", "BertForMaskedLM", BERT | {"tie_word_embeddings": False}),
    ("bert_next_sentence", "BertForNextSentencePrediction", BERT),
    ("bert_sequence_classification", "BertForSequenceClassification", BERT | SENTIMENT),
    ("bert_token_classification", "BertForTokenClassification", BERT | ENTITIES),
    ("bert_question_answering", "BertForQuestionAnswering", BERT),
    ("bert_multiple_choice", "BertForMultipleChoice", BERT),
    ("roberta", "RobertaModel", ROBERTA),
    ("roberta_masked_lm", "RobertaForMaskedLM", ROBERTA | RELU | LARGE_EPSILON),
    ("roberta_sequence_classification", "RobertaForSequenceClassification", ROBERTA | SENTIMENT),
    ("roberta_token_classification", "RobertaForTokenClassification", ROBERTA | ENTITIES),
    ("roberta_question_answering", "RobertaForQuestionAnswering", ROBERTA),
    ("roberta_multiple_choice", "RobertaForMultipleChoice", ROBERTA),
    ("xlm_roberta", "XLMRobertaModel", ROBERTA),
    ("xlm_roberta_masked_lm", "XLMRobertaForMaskedLM", ROBERTA),
    ("albert", "AlbertModel", ALBERT),
    (
        "albert_groups",
        "AlbertModel",
        {
            **ALBERT,
            "hidden_size": 8,
            "embedding_size": 4,
            "num_hidden_layers": 4,
            "num_hidden_groups": 2,
            "inner_group_num": 2,
        },
    ),
    ("albert_pretraining", "AlbertForPreTraining", ALBERT),
    ("albert_masked_lm", "AlbertForMaskedLM", ALBERT | RELU | LARGE_EPSILON),
    ("albert_sequence_classification", "AlbertForSequenceClassification", ALBERT | SENTIMENT),
    ("albert_token_classification", "AlbertForTokenClassification", ALBERT | ENTITIES),
    ("albert_question_answering", "AlbertForQuestionAnswering", ALBERT),
    ("albert_multiple_choice", "AlbertForMultipleChoice", ALBERT),
    ("distilbert", "DistilBertModel", DISTILBERT),
    ("distilbert_masked_lm", "DistilBertForMaskedLM", DISTILBERT | {"activation": "relu"}),
    (
        "distilbert_sequence_classification",
        "DistilBertForSequenceClassification",
        DISTILBERT | SENTIMENT,
    ),
    ("distilbert_token_classification", "DistilBertForTokenClassification", DISTILBERT | ENTITIES),
    ("distilbert_question_answering", "DistilBertForQuestionAnswering", DISTILBERT),
    ("distilbert_multiple_choice", "DistilBertForMultipleChoice", DISTILBERT),
    ("electra", "ElectraModel", ELECTRA),
    ("electra_no_projection", "ElectraModel", ELECTRA | {"embedding_size": 16}),
    ("electra_pretraining", "ElectraForPreTraining", ELECTRA | RELU),
    ("electra_masked_lm", "ElectraForMaskedLM", ELECTRA | RELU | LARGE_EPSILON),
    (
        "electra_sequence_classification",
        "ElectraForSequenceClassification",
        ELECTRA | RELU | SENTIMENT,
    ),
    ("electra_token_classification", "ElectraForTokenClassification", ELECTRA | ENTITIES),
    ("electra_question_answering", "ElectraForQuestionAnswering", ELECTRA),
    ("electra_multiple_choice", "ElectraForMultipleChoice", ELECTRA | RELU),
    ("ernie", "ErnieModel", ERNIE),
    (
        "ernie_task_id",
        "ErnieModel",
        {**ERNIE, "hidden_act": "gelu", "use_task_id": True, "task_type_vocab_size": 3},
    ),
    ("ernie_pretraining", "ErnieForPreTraining", ERNIE),
    ("ernie_masked_lm", "ErnieForMaskedLM", ERNIE | LARGE_EPSILON),
    ("ernie_sequence_classification", "ErnieForSequenceClassification", ERNIE | SENTIMENT),
    ("ernie_token_classification", "ErnieForTokenClassification", ERNIE | ENTITIES),
    ("ernie_question_answering", "ErnieForQuestionAnswering", ERNIE),
]


def perturb(model: torch.nn.Module) -> None:
    """Randomizes what is constant in a new model: zero biases, unit LayerNorms, zero padding rows.

    Otherwise, a weight map that omits or swaps one of them would go unnoticed.
    """
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)
    }
    norms = {
        id(module.weight) for module in model.modules() if isinstance(module, torch.nn.LayerNorm)
    }
    with torch.no_grad():
        # Tied parameters are listed once.
        for parameter in model.parameters():
            if id(parameter) in embeddings:
                parameter.normal_(0.0, 0.5)
            elif id(parameter) in norms:
                parameter.normal_(1.0, 0.2)
            elif parameter.ndim == 1:
                parameter.normal_(0.0, 0.2)
            else:
                parameter.normal_(0.0, 0.25)


def make_inputs(config: transformers.PretrainedConfig) -> dict[str, torch.Tensor]:
    chooser = np.random.default_rng(7)
    mask = np.arange(LENGTH) < np.array(LENGTHS)[:, None]
    # Unpadded tokens never have the padding id, from which RoBERTa derives positions.
    ids = chooser.integers(6, config.vocab_size, (BATCH, LENGTH))
    inputs = {
        "input_ids": np.where(mask, ids, config.pad_token_id),
        "attention_mask": mask.astype(np.int64),
    }
    types = getattr(config, "type_vocab_size", 0)
    if types > 1:
        segments = np.sort(chooser.integers(0, types, (BATCH, LENGTH)), axis=1)
        inputs["token_type_ids"] = np.where(mask, segments, 0)
    return {name: torch.from_numpy(array) for name, array in inputs.items()}


def answer(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    base = type(model).__name__.endswith("Model")
    with torch.no_grad():
        outputs = model(**inputs, output_hidden_states=base, output_attentions=base)
    tensors = {}
    for name, value in outputs.items():
        if name == "cross_attentions":  # encoders have none
            continue
        if isinstance(value, tuple):
            singular = {"hidden_states": "hidden_state", "attentions": "attention"}[name]
            tensors |= {f"{singular}_{index}": tensor for index, tensor in enumerate(value)}
        elif value is not None:
            tensors[name] = value
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def make(directory: str, class_name: str, settings: dict, saving: dict | None = None) -> None:
    model_class = getattr(transformers, class_name)
    # Labels need both directions: transformers does not derive one from the other.
    if "id2label" in settings:
        labels = settings["id2label"]
        settings = {**settings, "label2id": {name: index for index, name in labels.items()}}
    config = model_class.config_class(**settings, attn_implementation="eager")
    torch.manual_seed(zlib.crc32(directory.encode()))
    model = model_class(config).eval()
    perturb(model)
    inputs = make_inputs(config)
    if class_name.endswith("ForMultipleChoice"):  # (batch, 2, sequence)
        inputs = {name: torch.stack([ids, ids.roll(1, 0)], 1) for name, ids in inputs.items()}
    outputs = answer(model, inputs)

    path = GOLDENS / directory
    shutil.rmtree(path, ignore_errors=True)
    model.save_pretrained(path, **(saving or {}))
    again = model_class.from_pretrained(path, attn_implementation="eager").eval()
    for name, array in answer(again, inputs).items():
        np.testing.assert_allclose(
            array, outputs[name], rtol=0, atol=1e-6, err_msg=f"{directory}: {name}"
        )
    integers = {name: tensor.numpy().astype(np.int32) for name, tensor in inputs.items()}
    np.savez_compressed(path / "inputs_outputs.npz", **integers, **outputs)
    size = sum(file.stat().st_size for file in path.iterdir())
    print(f"{directory}: {size:,} bytes, {', '.join(outputs)}")


def main() -> None:
    for model in MODELS:
        make(*model)


if __name__ == "__main__":
    main()
