"""Checks that transformers reads what kerasbert writes, and the other way round.

Needs torch and transformers, which are no dependencies of the project: run it by hand, in an
environment that has them and kerasbert, after a change to a family's tables or the Hugging Face
format:

    pip install torch==2.15.0 transformers==5.23.0
    python tests/goldens/check_transformers.py

Three parts. Each prints a line per model: name, keys that transformers misses, keys that it does
not expect or that have another shape, and the largest difference of any output.

golden: the models in `tests/goldens/huggingface/`, loaded and saved by kerasbert, read by the class
    that the config names and by the Auto class.
new: every task of every family, newly created, with a tokenizer and without.
half: models that transformers saves in bfloat16 and float16, read by kerasbert; compared in
    float32, after the same rounding.

Exits with 1 if a key remains or an output differs by more than 1e-5.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported
# torch's compiler, which is not needed here, loads a second LLVM, which crashes a process that has
# TensorFlow's.
sys.modules["triton"] = None
# ruff: noqa: E402 - the other imports come after these settings

import pathlib
import tempfile

import make_huggingface as made
import numpy as np
import torch
import transformers

import kerasbert
from kerasbert import Backbone, BackboneConfig
from kerasbert.checkpoints import tokenizer_files
from kerasbert.families import FAMILIES
from kerasbert.tasks import registry

GOLDENS = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-5
AUTO = {
    None: "AutoModel",
    "Pretrainer": "AutoModelForPreTraining",
    "ReplacedTokenDetector": "AutoModelForPreTraining",
    "MaskedLM": "AutoModelForMaskedLM",
    "TextClassifier": "AutoModelForSequenceClassification",
    "TokenClassifier": "AutoModelForTokenClassification",
    "QuestionAnswerer": "AutoModelForQuestionAnswering",
    "MultipleChoice": "AutoModelForMultipleChoice",
}
# From transformers' names of outputs to kerasbert's.
OUTPUTS = {
    "last_hidden_state": "sequence_output",
    "pooler_output": "pooled_output",
    "prediction_logits": "mlm_logits",
    "seq_relationship_logits": "nsp_logits",
    "sop_logits": "nsp_logits",
}
TOKENIZERS = {
    "albert": "albert",
    "roberta": "roberta",
    "xlm_roberta": "xlm_roberta",
}
SIZES = {
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 24,
    "max_sequence_length": 20,
}


def ours(model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns kerasbert's outputs by name; "logits" if there is only one."""
    features = {"token_ids": inputs["input_ids"], "padding_mask": inputs["attention_mask"]}
    features["segment_ids"] = inputs.get("token_type_ids", 0 * inputs["input_ids"])
    if type(model).__name__ in ("MaskedLM", "Pretrainer"):
        batch, length = inputs["input_ids"].shape
        features["mask_positions"] = np.tile(np.arange(length), (batch, 1))
    outputs = model(features)
    outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
    return {name: np.asarray(value) for name, value in outputs.items()}


def theirs(model: torch.nn.Module, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if getattr(model.config, "type_vocab_size", 0) < 2:
        inputs = {name: array for name, array in inputs.items() if name != "token_type_ids"}
    tensors = {name: torch.from_numpy(array.astype(np.int64)) for name, array in inputs.items()}
    with torch.no_grad():
        outputs = model.eval()(**tensors)
    return {name: value.numpy() for name, value in outputs.items() if value is not None}


def difference(ours: dict, theirs: dict) -> float:
    """Returns the largest difference; infinite if the outputs have different names."""
    theirs = {OUTPUTS.get(name, name): value for name, value in theirs.items()}
    if ours.keys() != theirs.keys():
        print(f"    outputs: {sorted(ours)}, but in transformers {sorted(theirs)}")
        return float("inf")
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


def read_back(directory: pathlib.Path, class_name: str):
    model, info = getattr(transformers, class_name).from_pretrained(
        directory, output_loading_info=True, attn_implementation="eager"
    )
    return model, info


def compare(name: str, model, inputs: dict[str, np.ndarray], directory: pathlib.Path) -> bool:
    """Writes a model of kerasbert, reads it with transformers, and prints a line."""
    task = None if isinstance(model, Backbone) else type(model).__name__
    layout = FAMILIES[backbone_of(model).config.family].layouts["hf"]
    expected = ours(model, inputs)
    passed = True
    for class_name in (layout.models[task], AUTO[task]):
        read, info = read_back(directory, class_name)
        found = difference(expected, theirs(read, inputs))
        missing = sorted(info["missing_keys"])
        extra = sorted([*info["unexpected_keys"], *map(str, info["mismatched_keys"])])
        same_class = type(read).__name__ == layout.models[task]
        passed &= report(f"{name} {class_name}", missing, extra, found) and same_class
    return passed


def report(name: str, missing: list[str], extra: list[str], found: float) -> bool:
    passed = not missing and not extra and found <= TOLERANCE
    shown = (", ".join(keys) or "-" for keys in (missing, extra))
    print(f"{name:75} {' '.join(shown)} {found:.1e}{'' if passed else '   FAILED'}", flush=True)
    return passed


def backbone_of(model) -> Backbone:
    return model if isinstance(model, Backbone) else model.backbone


def golden(directory: pathlib.Path) -> bool:
    passed = True
    for path in sorted((GOLDENS / "huggingface").iterdir()):
        if path.name == "bert_next_sentence":  # has no task of its own
            continue
        values = dict(np.load(path / "inputs_outputs.npz"))
        names = ("input_ids", "attention_mask", "token_type_ids")
        inputs = {name: values[name] for name in names if name in values}
        model = kerasbert.load(path)
        model.save_to_preset(directory / path.name, format="hf")
        passed &= compare(f"golden {path.name}", model, inputs, directory / path.name)
    return passed


# === New models ===


def tokenizer_of(family: str):
    name = TOKENIZERS.get(family, "bert_uncased")
    return tokenizer_files.load(GOLDENS / "tokenizers" / name, FAMILIES[family].tokenizer)


def new_backbone(family: str, tokenizer) -> Backbone:
    # Settings that are the same in all models of a family.
    preset = next(iter(FAMILIES[family].presets.values()))
    facts = {**preset, **SIZES, "vocabulary_size": tokenizer.vocabulary_size}
    if family == "albert":
        facts["embedding_dim"] = 8
    if family == "electra":
        facts["embedding_dim"] = 8
    return Backbone(BackboneConfig(**facts))


def new_task(task: str, backbone: Backbone, tokenizer):
    maker = registry.task_class(task)
    settings = {"classes": ["a", "b", "c"]} if task.endswith("Classifier") else {}
    if task == "Pretrainer" and backbone.config.family == "albert":
        settings["objective"] = "sop"
    return maker(backbone, tokenizer=tokenizer, sequence_length=20, **settings)


def perturb(model) -> None:
    chooser = np.random.default_rng(5)
    for variable in model.weights:
        # Biases of a new model are zero, which would hide a table that omits one.
        variable.assign(variable + chooser.normal(0, 0.05, variable.shape).astype("float32"))


def new(directory: pathlib.Path) -> bool:
    passed = True
    for family, facts in FAMILIES.items():
        tokenizer = tokenizer_of(family)
        for task in facts.layouts["hf"].models:
            if task not in (None, *registry.TASKS):
                continue
            for with_tokenizer in (True, False):
                used = tokenizer if with_tokenizer else None
                backbone = new_backbone(family, tokenizer)
                model = new_task(task, backbone, used) if task else backbone
                perturb(model)
                name = f"new {family} {task}{' with tokenizer' if with_tokenizer else ''}"
                path = directory / name.replace(" ", "_")
                more = {} if task else {"tokenizer": used}
                model.save_to_preset(path, format="hf", **more)
                inputs = new_inputs(backbone.config, tokenizer)
                if task == "MultipleChoice":  # (batch, 2, sequence)
                    inputs = {n: np.stack([x, np.roll(x, 1, 0)], 1) for n, x in inputs.items()}
                passed &= compare(name, model, inputs, path)
                if with_tokenizer:
                    passed &= same_ids(name, tokenizer, path)
    return passed


def new_inputs(config: BackboneConfig, tokenizer) -> dict[str, np.ndarray]:
    chooser = np.random.default_rng(6)
    mask = np.arange(made.LENGTH) < np.array(made.LENGTHS)[:, None]
    ids = chooser.integers(5, tokenizer.vocabulary_size, mask.shape)
    inputs = {
        "input_ids": np.where(mask, ids, tokenizer.pad_id),
        "attention_mask": mask.astype(int),
    }
    if config.num_segments > 1:
        inputs["token_type_ids"] = np.where(mask, np.arange(made.LENGTH) > 3, 0).astype(int)
    return inputs


def same_ids(name: str, tokenizer, directory: pathlib.Path) -> bool:
    read = transformers.AutoTokenizer.from_pretrained(directory)
    texts, others = ["The cat sat on the mat.", "a dog, 9, 1990,"], ["it is flat", "a"]
    packer = kerasbert.text.TextPacker(tokenizer, 100)
    passed = True
    for given in ([texts], [texts, others]):
        found = packer(*given)["token_ids"].numpy().tolist()
        expected = read(*given, padding=True)["input_ids"]
        passed &= found == expected
    if not passed:
        print(f"{name}: another tokenizer   FAILED")
    return passed


# === Half precision ===


def half(directory: pathlib.Path) -> bool:
    passed = True
    for name in ("bert", "roberta_masked_lm", "albert_pretraining", "bert_sharded"):
        for dtype in (torch.bfloat16, torch.float16):
            source = GOLDENS / "huggingface" / name
            architecture = transformers.AutoConfig.from_pretrained(source).architectures[0]
            model, _ = read_back(source, architecture)
            path = directory / f"{name}_{str(dtype).removeprefix('torch.')}"
            model.to(dtype).save_pretrained(
                path, max_shard_size="10KB" if "shard" in name else "1GB"
            )
            values = dict(np.load(source / "inputs_outputs.npz"))
            names = ("input_ids", "attention_mask", "token_type_ids")
            inputs = {key: values[key] for key in names if key in values}
            expected = theirs(model.to(torch.float32), inputs)
            read = kerasbert.load(path)
            found = difference(ours(read, inputs), expected)
            passed &= report(f"half {path.name}", [], [], found)
    return passed


def main() -> int:
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as directory:
        parts = {"golden": golden, "new": new, "half": half}
        chosen = sys.argv[1:] or list(parts)
        passed = [parts[name](pathlib.Path(directory)) for name in chosen]
    print("all as it should be" if all(passed) else "FAILED")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
