import dataclasses
import pathlib
import re

import pytest
import server_protos
import tensorflow as tf
import yaml
from google.protobuf import text_format
from served_tasks import MORE_TASKS, TASKS
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from kerasbert import InputError
from kerasbert.recipes.options import ServeOptions, ServingKitOptions
from kerasbert.recipes.serving_kit import serving_kit
from kerasbert.serving import exports, kit, signatures
from kerasbert.serving.client import METADATA, SavedModelClient
from kerasbert.serving.kit import configs, readme

QUICK = ("classifier", "choices")


@pytest.fixture(scope="module")
def make_kit(tokenizer, tiny_backbone, tmp_path_factory):
    """Returns a function from the name of a task to its kit, and what `kit.write` returns."""
    made = {}

    def make(name):
        if name not in made:
            task = {**TASKS, **MORE_TASKS}[name](tiny_backbone(tokenizer), tokenizer=tokenizer)
            path = tmp_path_factory.mktemp("kits") / name
            facts = kit.write(path, lambda to: task.export(to, check=False), name=f"my.{name}_1")
            made[name] = path, facts
        return made[name]

    return make


each_task = pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in TASKS],
)


def records(version):
    for record in tf.data.TFRecordDataset(str(version / exports.WARM_UP)):
        yield prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request


@each_task
def test_warm_up_requests_run(make_kit, name):
    """As TensorFlow Serving runs them when it loads the model."""
    _, facts = make_kit(name)
    model = tf.saved_model.load(facts["saved_model"])
    seen = {}
    for request in records(pathlib.Path(facts["saved_model"])):
        assert request.model_spec.name == f"my.{name}_1"
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        signature = model.signatures[request.model_spec.signature_name]
        outputs = signature(**{key: tf.constant(value) for key, value in inputs.items()})
        rows = {len(value) for value in inputs.values()}
        assert rows == {len(value) for value in outputs.values()}
        seen.setdefault(request.model_spec.signature_name, set()).add(*rows)
    assert seen.keys() == {"serving_default", "tokenize", "tokens"}
    assert set(map(frozenset, seen.values())) == {frozenset({1, facts["batch_size"] or 64})}
    assert 0 < facts["warm_up_requests"] <= 1000
    assert len(list(records(pathlib.Path(facts["saved_model"])))) == facts["warm_up_requests"]


@each_task
def test_server_reads_the_configuration(make_kit, name):
    path, facts = make_kit(name)
    read = (path / "config/models.config").read_text()
    models = text_format.Parse(read, model_server_config_pb2.ModelServerConfig())
    (model,) = models.model_config_list.config
    assert (model.name, model.base_path) == (f"my.{name}_1", f"/models/my.{name}_1")
    assert model.model_version_policy.latest.num_versions == 1
    read = (path / "config/monitoring.config").read_text()
    monitoring = text_format.Parse(read, server_protos.MonitoringConfig())
    assert monitoring.prometheus_config.enable
    batching = pathlib.Path(facts["saved_model"]) / "batching_params.pbtxt"
    assert batching.exists() == (name != "choices") == (facts["batch_size"] is not None)
    if batching.exists():
        read = text_format.Parse(batching.read_text(), server_protos.BatchingParameters())
        # The server accepts a request of up to max_batch_size rows, and splits it.
        assert (
            read.max_execution_batch_size.value == facts["batch_size"] < read.max_batch_size.value
        )
        assert read.enable_large_batch_splitting.value
        assert read.max_enqueued_batches.value > 0


@pytest.mark.parametrize("between", [(), (-1,)], ids=["a row", "chunks"])
def test_what_must_not_be_padded(between):
    """The server pads with the first element: further chunks would be as long as the first."""
    tokens = meta_graph_pb2.SignatureDef()
    for size in (-1, *between):
        tokens.inputs["lengths"].tensor_shape.dim.add(size=size)
    padded = signatures.may_be_padded(tokens)
    read = configs.batching(8, 512, padded)
    found = text_format.Parse(read, server_protos.BatchingParameters())
    assert found.pad_variable_length_inputs == padded == (between == ())


@pytest.mark.full
@pytest.mark.parametrize("name", ["classifier", "long"])
def test_kit_pads_what_may_be_padded(make_kit, name):
    _, facts = make_kit(name)
    read = (pathlib.Path(facts["saved_model"]) / exports.BATCHING).read_text()
    found = text_format.Parse(read, server_protos.BatchingParameters())
    assert found.pad_variable_length_inputs == (name == "classifier")


def test_readme_says_what_is_read_of_a_long_text():
    for task, words in {
        ("TextClassifier", None): "cut",
        ("TextEmbedder", "mean"): "read in chunks",
        ("TokenClassifier", None): "read in windows",
        ("QuestionAnswerer", None): "read in windows",
    }.items():
        metadata = dict(zip(("task", "long_text"), task, strict=True))
        assert readme._what_is_long(metadata) == words


@each_task
def test_containers(make_kit, name):
    path, facts = make_kit(name)
    compose = yaml.safe_load((path / "compose.yaml").read_text())
    server = compose["services"]["serving"]
    assert ("--enable_batching=true" in server["command"]) == (facts["batch_size"] is not None)
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    for service in compose["services"].values():
        for volume in service["volumes"]:
            assert (path / volume.split(":")[0]).exists()
    scraped = yaml.safe_load((path / "config/prometheus.yaml").read_text())["scrape_configs"]
    read = (path / "config/monitoring.config").read_text()
    assert f'"{scraped[0]["metrics_path"]}"' in read
    files, deployment, service = yaml.safe_load_all((path / "kubernetes.yaml").read_text())
    for key in ("models.config", "monitoring.config"):
        assert files["data"][key] == (path / "config" / key).read_text()
    pod = deployment["spec"]["template"]
    assert pod["metadata"]["labels"] == service["spec"]["selector"]
    (container,) = pod["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == f"/v1/models/my.{name}_1"
    assert container["args"] == server["command"]
    mounted = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == mounted
    names = [one["metadata"]["name"] for one in (files, deployment, service)]
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", found) for found in names)


@each_task
def test_readme_names_what_there_is(make_kit, name):
    path, facts = make_kit(name)
    readme = (path / "README.md").read_text()
    metadata = SavedModelClient(facts["saved_model"]).metadata
    for found in metadata["inputs"]:
        assert f"| input `{found}` | string |" in readme
    for file in re.findall(r"`((?:models|config)/[^`]+|\w+\.yaml)`", readme):
        missing = file.endswith(("/.new", "/2", "pbtxt" if name == "choices" else "/.new"))
        assert missing != (path / file).exists(), file
    assert "{" + "mask}" not in readme


def test_kit_is_complete_or_absent(make_kit, tmp_path):
    _, facts = make_kit("classifier")
    assert (pathlib.Path(facts["saved_model"]) / METADATA).exists()

    def fail(path):
        path.mkdir()
        raise RuntimeError("a check failed")

    with pytest.raises(RuntimeError, match="a check failed"):
        kit.write(tmp_path / "kit", fail, name="mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "../up", "-x", "größe", "x" * 62])
def test_names_that_are_no_part_of_a_url(tmp_path, name):
    with pytest.raises(InputError, match="the name of a served model"):
        kit.write(tmp_path / "kit", lambda path: None, name=name)


def test_program(tokenizer, tiny_backbone, tmp_path):
    task = TASKS["classifier"](tiny_backbone(tokenizer), tokenizer=tokenizer)
    task.save_to_preset(tmp_path / "model")
    options = ServingKitOptions(
        model=str(tmp_path / "model"), name="mine", output=str(tmp_path / "kit"), check=False
    )
    result = serving_kit(options)
    assert result["saved_model"] == str(tmp_path / "kit/models/mine/1")
    assert SavedModelClient(result["saved_model"])(text=["a dog"])[0]["label"] in ("bad", "good")
    with pytest.raises(InputError, match="kit exists already; --overwrite replaces it"):
        serving_kit(options)
    assert serving_kit(dataclasses.replace(options, overwrite=True)) == result
    (tmp_path / "kit" / "models" / "mine" / "2").mkdir()
    (tmp_path / "kit" / "models" / "mine" / "2" / "saved_model.pb").touch()
    with pytest.raises(InputError, match=r"did not write models/mine/2/saved_model.pb in it"):
        serving_kit(dataclasses.replace(options, overwrite=True))
    with pytest.raises(InputError, match="kit exists already; choose another path or remove it"):
        serving_kit(options)


def test_names_of_kubernetes():
    assert configs.kubernetes_name("My.model_2-") == "my-model-2"
    assert configs.kubernetes_name("2024") == "model-2024"
    for name in ("9" * 61, "a" * 61, "0"):
        assert re.fullmatch("[a-z][-a-z0-9]{0,61}[a-z0-9]", configs.kubernetes_name(name))


@pytest.mark.parametrize("name", ["2024", "true", "null", "1e3", "0x1f", "no"])
def test_names_that_yaml_may_read_as_something_else(name):
    label = configs.kubernetes_name(name)
    text = configs.kubernetes(name, True, 2**30, True)
    files, deployment, service = yaml.safe_load_all(text)
    assert (files["metadata"]["name"], deployment["metadata"]["name"]) == (f"{label}-config", label)
    pod = deployment["spec"]["template"]
    for labels in (
        deployment["spec"]["selector"]["matchLabels"],
        pod["metadata"]["labels"],
        service["spec"]["selector"],
    ):
        assert labels == {"app": label}
    assert service["metadata"]["name"] == label
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", label)
    (container,) = pod["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == f"/v1/models/{name}"
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == f"{label}-models"


def test_name_of_the_program_is_found_early():
    with pytest.raises(InputError, match="the name of a served model"):
        ServingKitOptions(model="m", name="a/b", output="o")
    with pytest.raises(InputError, match="the name of a served model"):
        ServeOptions(saved_model=["s"], name="a/b")
    with pytest.raises(InputError, match="--name is for a single --saved_model"):
        ServeOptions(saved_model=["s", "t"], name="a")
