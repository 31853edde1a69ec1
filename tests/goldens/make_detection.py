"""Makes tests/goldens/detection.npz: a step of ELECTRA's pretraining, by transformers in PyTorch.

Needs torch and transformers beside TensorFlow: python tests/goldens/make_detection.py

The file has the weights by kerasbert's paths, a batch, what the generator samples by
`sampling_draws`, both losses, and the gradient of every weight.
"""

import pathlib
import sys
import tempfile

import keras
import numpy as np
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from kerasbert import Backbone, BackboneConfig
from kerasbert.tasks.replaced_token_detector import ReplacedTokenPretrainer

OUTPUT = pathlib.Path(__file__).with_name("detection.npz")
CONFIG = {
    **{"family": "electra", "vocabulary_size": 29, "num_layers": 2, "hidden_dim": 16},
    **{"num_heads": 2, "intermediate_dim": 24, "embedding_dim": 12, "max_sequence_length": 16},
    **{"activation": "gelu", "pooler": False, "classifier_activation": "gelu"},
    **{"dropout": 0.0, "attention_dropout": 0.0, "initializer_range": 0.3},
}
SIZE, WEIGHT = 0.5, 50.0


def batch() -> dict:
    """A batch of three rows, with padding and unused positions."""
    random = np.random.default_rng(1)
    ids = random.integers(5, 29, (3, 9))
    mask = np.arange(9) < np.array([[9], [7], [5]])
    ids = np.where(mask, ids, 0)
    positions = np.array([[1, 4, 7], [2, 5, 0], [3, 0, 0]])
    used = positions > 0
    originals = np.where(used, np.take_along_axis(ids, positions, 1), 0)
    for row, columns in enumerate(positions):
        ids[row, columns[used[row]]] = 4
    draws = random.integers(0, 2**31 - 1, positions.shape)
    arrays = {
        "token_ids": ids,
        "padding_mask": mask,
        "segment_ids": np.zeros_like(ids),
        "mask_positions": positions,
        "original_ids": originals,
        "sampling_draws": draws,
    }
    return {name: array.astype("int32") for name, array in arrays.items()}


def stored(model: ReplacedTokenPretrainer, directory: pathlib.Path) -> tuple[dict, dict]:
    """Writes detector and generator for transformers; returns the names of their weights."""
    detector = model.detector.save_to_preset(directory / "detector", format="hf")
    generator = model.generator.save_to_preset(directory / "generator", format="hf")
    return detector, generator


def gradients(names: dict, module: torch.nn.Module, prefix: str) -> dict:
    """Returns the gradients by prefixed path; kernels are transposed to Keras's layout."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    found = {}
    for path, name in names.items():
        gradient = parameters.get(name, parameters.get(f"electra.{name}")).grad.numpy()
        found[f"{prefix}:{path}"] = gradient.T if path.endswith("/kernel") else gradient
    return found


def main() -> None:
    """Writes the file."""
    keras.utils.set_random_seed(0)
    model = ReplacedTokenPretrainer(Backbone(BackboneConfig(**CONFIG)), generator_size=SIZE)
    features = batch()
    with tempfile.TemporaryDirectory() as temporary:
        names = stored(model, pathlib.Path(temporary))
        detector = transformers.ElectraForPreTraining.from_pretrained(f"{temporary}/detector")
        generator = transformers.ElectraForMaskedLM.from_pretrained(f"{temporary}/generator")
    ours, theirs = generator.electra.embeddings, detector.electra.embeddings
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm"):
        setattr(ours, name, getattr(theirs, name))
    generator.generator_lm_head.weight = theirs.word_embeddings.weight

    tensors = {name: torch.tensor(array, dtype=torch.long) for name, array in features.items()}
    mask, positions = tensors["padding_mask"], tensors["mask_positions"]
    used = positions > 0
    logits = generator(tensors["token_ids"], attention_mask=mask).logits
    rows = torch.arange(3)[:, None].expand_as(positions)
    chosen, originals = logits[rows[used], positions[used]], tensors["original_ids"][used]
    mlm_loss = torch.nn.functional.cross_entropy(chosen, originals)
    # The inverse of the cumulative probabilities, in 64 bits.
    cumulative = chosen.detach().double().softmax(-1).cumsum(-1)
    # The first sample is the original token, which is not replaced then.
    middle = cumulative[0, originals[0] - 1 : originals[0] + 1].mean().item()
    features["sampling_draws"][0, 0] = int(middle * 2**31)
    draws = torch.tensor(features["sampling_draws"])[used].double()
    uniform = (draws + 0.5) / 2**31
    sampled = (cumulative < uniform[:, None]).sum(-1)
    ids = tensors["token_ids"].clone()
    ids[rows[used], positions[used]] = sampled
    labels = torch.zeros_like(ids)
    labels[rows[used], positions[used]] = (sampled != originals).long()
    found = detector(ids, attention_mask=mask).logits
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        found, labels.float(), reduction="none"
    )
    detection_loss = (each * mask).sum() / mask.sum()
    (mlm_loss + WEIGHT * detection_loss).backward()

    weights = {f"detector:{v.path}": v.numpy() for v in model.detector.weights}
    weights |= {f"generator:{v.path}": v.numpy() for v in model.generator.weights}
    arrays = {f"weight:{name}": array for name, array in weights.items()}
    arrays |= {f"feature:{name}": array for name, array in features.items()}
    for names_of, module, prefix in zip(
        names, (detector, generator), ("detector", "generator"), strict=True
    ):
        arrays |= {f"gradient:{k}": v for k, v in gradients(names_of, module, prefix).items()}
    np.savez_compressed(
        OUTPUT,
        **arrays,
        ids=ids.numpy(),
        labels=labels.numpy(),
        mlm_loss=mlm_loss.item(),
        detection_loss=detection_loss.item(),
    )
    print(OUTPUT.stat().st_size, "bytes;", int(labels.sum()), "replaced of", int(used.sum()))


if __name__ == "__main__":
    main()
