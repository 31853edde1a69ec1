"""The page at `/`, without a browser; `test_page_in_browser.py` has one."""

import pathlib
import re
import types

import urllib3
from test_server import ask

from kerasbert.features import LIST_COLUMNS, TEXT_COLUMNS
from kerasbert.serving.kit import examples
from kerasbert.serving.server import page

FOLDER = pathlib.Path(page.__file__).parent
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in page._TYPES)
# A name, which nobody asks for.
NAMESPACE = "http://www.w3.org/2000/svg"


def get(server, path, method="GET"):
    return urllib3.request(method, server.rest.replace("/v1/models/mine", path), retries=False)


def test_files(server):
    found = get(server, "/")
    assert (found.status, found.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert found.data == (FOLDER / "index.html").read_bytes()
    for path in FILES:
        if path.name == "index.html":
            continue
        found = get(server, f"/page/{path.name}")
        kind = found.headers["Content-Type"].removesuffix("; charset=utf-8")
        assert (found.status, kind, found.data) == (
            200,
            page._TYPES[path.suffix],
            path.read_bytes(),
        )
        policy = found.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert found.headers["X-Content-Type-Options"] == "nosniff"


def test_files_that_files_name_exist():
    names = {path.name for path in FILES}
    for path in FILES:
        content = path.read_text()
        assert set(re.findall(r'"page/([\w.]+)"', content)) <= names | {"models.json"}
        assert set(re.findall(r'from "\./([\w.]+)"', content)) <= names


def test_nothing_comes_from_elsewhere():
    for path in FILES:
        content = path.read_text().replace(NAMESPACE, "")
        assert not re.search(r"https?:|[\"'(]//|@import|url\(", content), path.name


def test_text_is_never_html():
    """The policy would refuse it; here the code does not try."""
    for path in FILES:
        content = path.read_text()
        assert not re.search(
            r"inner" + "HTML|outerHTML|insertAdjacent|document.write|eval", content
        )
        assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", content), path.name


def test_is_small():
    assert sum(path.stat().st_size for path in FILES) < 64_000
    assert max(len(path.read_text().splitlines()) for path in FILES if path.suffix == ".js") < 320


def test_description(server):
    status, found, headers = ask(server.rest.replace("/v1/models/mine", "/page/models.json"))
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert found["failed"] == []
    (model,) = found["models"]
    assert (model["name"], model["version"]) == ("mine", "7")
    assert (model["metadata"]["task"], model["metadata"]["classes"]) == (
        "TextClassifier",
        ["bad", "good"],
    )
    assert model["metadata"].keys().isdisjoint({"files", "format"})
    assert model["signatures"]["serving_default"] == {
        "inputs": ["text"],
        "outputs": ["label", "labels", "scores"],
    }
    assert model["example"] == {"text": "A fine day."}


def test_versions_that_failed(monkeypatch):
    monkeypatch.setattr(page, "_described", lambda service, name: name)
    failed = {"one": {2: "damaged", 2**60: "empty"}, "two": {}}
    names = {name: types.SimpleNamespace(failed=own) for name, own in failed.items()}
    models = types.SimpleNamespace(by_name=names)
    found = page._description(types.SimpleNamespace(models=models))
    assert found == {
        "models": ["one", "two"],
        "failed": [
            {"name": "one", "version": "2", "message": "damaged"},
            {"name": "one", "version": str(2**60), "message": "empty"},
        ],
    }


def test_example_of_a_task_of_another_package():
    inputs = sorted({*TEXT_COLUMNS, "anything"})
    found = examples.columns({"task": "Other", "inputs": inputs})
    assert sorted(found) == inputs
    for name, rows in found.items():
        kind = list if name in LIST_COLUMNS else str
        assert [type(row) for row in rows] == [kind, kind], name
    assert found["anything"][0] == "A fine day."


def test_nothing_else_is_served(server):
    paths = ("/page/", "/page/nothing.js", "/page/__init__.py", "/page/../http.py", "/index.html")
    for path in (*paths, "/page/%2e%2e/http.py", "/page//style.css"):
        found = get(server, path)
        assert found.status == 404, path
        assert b"Malformed request" in found.data
    for method in ("POST", "PUT", "DELETE"):
        assert get(server, "/", method).status == 404
