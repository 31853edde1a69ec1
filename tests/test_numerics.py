import numpy as np
import pytest

from kerasbert import Backbone, BackboneConfig

CONFIG = BackboneConfig(
    vocabulary_size=30,
    num_layers=2,
    hidden_dim=8,
    num_heads=2,
    intermediate_dim=12,
    max_sequence_length=16,
)


def layer_norm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-12) * gamma + beta


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def bert(weights, token_ids, padding_mask, segment_ids):
    def w(name):
        return weights[name]

    def norm(x, name):
        return layer_norm(x, w(f"{name}/gamma"), w(f"{name}/beta"))

    def dense(x, name):
        return x @ w(f"{name}/kernel") + w(f"{name}/bias")

    batch, length = token_ids.shape
    heads, size = CONFIG.num_heads, CONFIG.hidden_dim // CONFIG.num_heads
    x = w("embeddings/token_embedding/embeddings")[token_ids]
    x = x + w("embeddings/position_embedding/embeddings")[:length]
    x = x + w("embeddings/segment_embedding/embeddings")[segment_ids]
    x = norm(x, "embeddings/layer_norm")
    for index in range(CONFIG.num_layers):
        name = f"layer_{index}"

        def split(x, part, name=name):
            x = dense(x, f"{name}/attention/{part}").reshape(batch, length, heads, size)
            return x.transpose(0, 2, 1, 3)

        query, key, value = split(x, "query"), split(x, "key"), split(x, "value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(size)
        scores = np.where(padding_mask[:, None, None, :] == 1, scores, -np.inf)
        exp = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = exp / exp.sum(-1, keepdims=True) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, length, -1)
        x = norm(x + dense(mixed, f"{name}/attention/output"), f"{name}/attention_layer_norm")
        forward = dense(gelu(dense(x, f"{name}/intermediate")), f"{name}/output")
        x = norm(x + forward, f"{name}/output_layer_norm")
    return x, np.tanh(dense(x[:, 0], "pooler/dense"))


@pytest.mark.parametrize("lengths", [(7, 7, 7), (7, 4, 1)])
def test_backbone_equals_numpy(lengths):
    random = np.random.default_rng(0)
    backbone = Backbone(CONFIG)
    for variable in backbone.weights:
        offset = 1.0 if variable.name == "gamma" else 0.0
        variable.assign(offset + random.normal(0, 0.5, variable.shape))
    weights = {v.path: v.numpy().astype("float64") for v in backbone.weights}
    features = {
        "token_ids": random.integers(0, 30, (3, 7)),
        "padding_mask": (np.arange(7) < np.array(lengths)[:, None]).astype(int),
        "segment_ids": random.integers(0, 2, (3, 7)),
    }
    sequence, pooled = bert(weights, **features)
    outputs = backbone(features)
    real = features["padding_mask"] == 1
    ours = outputs["sequence_output"].numpy()
    np.testing.assert_allclose(ours[real], sequence[real], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(outputs["pooled_output"].numpy(), pooled, atol=1e-5, rtol=1e-5)
