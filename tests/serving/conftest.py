import pathlib

import pytest
from running_server import RunningServer

from kerasbert import TextClassifier

CLASSES = ["bad", "good"]


@pytest.fixture(scope="session")
def export_classifier(tokenizer, tiny_backbone):
    """Returns a function that exports a classifier to a version directory."""

    def export(directory, classes=CLASSES, pair=False):
        backbone = tiny_backbone(tokenizer, initializer_range=0.5)
        task = TextClassifier(backbone, classes, tokenizer=tokenizer, pair=pair)
        task.export(directory, check=False)
        return pathlib.Path(directory)

    return export


@pytest.fixture(scope="session")
def start_server():
    """Returns `RunningServer`; what it started is stopped at the end."""
    running = []

    def start(*arguments, **settings):
        running.append(RunningServer(*arguments, **settings))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def exported_classifier(export_classifier, tmp_path_factory):
    return export_classifier(tmp_path_factory.mktemp("exports") / "mine" / "7")


@pytest.fixture(scope="session")
def server(exported_classifier, start_server):
    return start_server(exported_classifier.parent, max_text_bytes=100_000, max_rows=100)
