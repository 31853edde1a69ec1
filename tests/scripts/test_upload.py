"""Uploads to a small server on this machine that answers as Hugging Face's hub does."""

import base64
import contextlib
import http.server
import json
import pathlib
import re
import shutil
import threading

import programs
import pytest
import yaml
from huggingface_hub import constants

from kerasbert import InputError, TextClassifier
from kerasbert.recipes.options import UploadOptions
from kerasbert.recipes.upload import upload

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "hf_secret"


class Hub(http.server.ThreadingHTTPServer):
    """One repository: its files, and what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files, self.created, self.commits = {}, [], []
        self.is_broken = False


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        name = self.path.partition("/resolve/main/")[2]
        if name not in self.server.files:
            return self.answer(404, X_Error_Code="EntryNotFound")
        return self.answer(
            200, self.server.files[name], ETag=f'"{hash(name)}"', X_Repo_Commit="1" * 40
        )

    do_GET = do_HEAD  # noqa: N815  as http.server names it

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        if self.server.is_broken:
            return self.answer(500, {"error": "out of order"})
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(content))
            return self.answer(200, {"url": f"{self.server.url}/ada/opinions"})
        if self.path == "/api/validate-yaml":
            header = json.loads(content)["content"].split("---\n")[1]
            valid = isinstance(yaml.safe_load(header), dict)
            errors = [] if valid else [{"message": "no header"}]
            return self.answer(200 if valid else 400, {"errors": errors, "warnings": []})
        if self.path == "/api/models/ada/opinions/preupload/main":
            names = [one["path"] for one in json.loads(content)["files"]]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return self.answer(200, {"files": [{"path": name, **modes} for name in names]})
        if self.path == "/api/models/ada/opinions/commit/main":
            lines = [json.loads(line) for line in content.splitlines()]
            sent = {
                one["value"]["path"]: base64.b64decode(one["value"]["content"])
                for one in lines
                if one["key"] == "file"
            }
            self.server.commits.append(sorted(sent))
            self.server.files |= sent
            url = f"{self.server.url}/ada/opinions/commit/{'1' * 40}"
            return self.answer(200, {"commitUrl": url, "commitOid": "1" * 40})
        return self.answer(404, {"error": self.path})


@contextlib.contextmanager
def serving():
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving() as hub:
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture(scope="module")
def saved(tiny_backbone, tokenizer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "model"
    encoder = tiny_backbone(tokenizer, pooler=True)
    TextClassifier(encoder, ["bad", "good"], tokenizer=tokenizer).save_to_preset(directory)
    return directory


@pytest.fixture
def model(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run/model")


NAMES = ["README.md", "config.json", "model.safetensors", "vocab.txt"]


def options(model, **changes):
    return UploadOptions(**{"model": str(model), "to": "ada/opinions", **changes})


def test_upload(model, hub):
    (model / ".hidden").write_text("x")
    result = upload(options(model, private=True))
    assert result["url"] == f"{hub.url}/ada/opinions"
    assert (result["files"], result["card_kept"]) == (4, False)
    (asked,) = hub.created
    assert (asked["organization"], asked["name"]) == ("ada", "opinions")
    assert asked["visibility"] == "private"
    assert hub.commits == [NAMES]
    for name in NAMES:
        assert hub.files[name] == (model / name).read_bytes()


def test_a_card_that_was_edited_on_the_hub_is_kept(model, hub):
    upload(options(model))
    upload(options(model))  # not edited: replaced
    edited = hub.files["README.md"].replace(b"license: unknown", b"license: mit")
    hub.files["README.md"] = edited
    assert upload(options(model))["card_kept"]
    assert hub.commits == [NAMES, NAMES, NAMES[1:]]
    assert hub.files["README.md"] == edited


def test_a_card_that_was_edited_here_is_uploaded_again(model, hub, capsys):
    card = model / "README.md"
    written = card.read_text()
    for license in ("mit", "apache-2.0"):
        card.write_text(written.replace("license: unknown", f"license: {license}"))
        for _ in range(2):
            assert not upload(options(model))["card_kept"]
        assert hub.files["README.md"] == card.read_bytes()
    assert hub.commits == [NAMES] * 4
    line = "ada/opinions: its README.md is replaced by the local one, which was edited"
    assert capsys.readouterr().err.count(line) == 1


def test_dry_run_needs_no_network(model, monkeypatch, capsys):
    monkeypatch.setattr("socket.socket.connect", None)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    result = upload(options(model, dry_run=True))
    sizes = {name: (model / name).stat().st_size for name in NAMES}
    assert result == {
        "dry_run": True,
        "to": "ada/opinions",
        "files": 4,
        "bytes": sum(sizes.values()),
        "left_out": [],
        "card": "README.md",
        "license": None,
        "private": False,
    }
    *lines, last = capsys.readouterr().err.splitlines()
    assert [line.split() for line in lines] == [
        [f"{size:,}", "bytes", name] for name, size in sizes.items()
    ]
    assert last.startswith(f"{model / 'README.md'}: names no license (license: unknown), so others")
    assert "such as license: mit (https://huggingface.co/docs/hub/repositories-licenses" in last


@pytest.mark.parametrize(
    ("line", "license"),
    [
        ("license: mit", "mit"),
        ('license: "apache-2.0"  # ours', "apache-2.0"),
        ("license:  # to fill in", None),
        ("licence: mit", None),
    ],
)
def test_a_license_is_asked_for(model, line, license, capsys):
    card = model / "README.md"
    card.write_text(re.sub("license: unknown.*", line, card.read_text()) + "license: gpl\n")
    assert upload(options(model, dry_run=True))["license"] == license
    assert ("names no license" in capsys.readouterr().err) == (license is None)


def test_other_files_are_left_out(model, tmp_path, capsys):
    (tmp_path / "secret").write_text("x")
    (model / "checkpoints").mkdir()
    (model / "checkpoints/model.safetensors").write_text("x")
    (model / "train.csv").write_text("x")
    (model / "secret.txt").symlink_to(tmp_path / "secret")
    (model / "folder").symlink_to(tmp_path)
    result = upload(options(model, dry_run=True))
    others = ["secret.txt", "train.csv", "checkpoints/model.safetensors"]
    assert (result["files"], result["left_out"]) == (4, others)
    assert "left out, no file of the format kerasbert: train.csv\n" in capsys.readouterr().err


def test_links(model, tmp_path):
    """Links of Hugging Face's cache are followed, others that leave the directory are refused."""
    blobs, snapshot = tmp_path / "hub/blobs", tmp_path / "hub/snapshots/main"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name in NAMES:
        shutil.copy(model / name, blobs / name)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    (tmp_path / "linked").symlink_to(snapshot)
    for directory in (snapshot, tmp_path / "linked"):
        assert upload(options(directory, dry_run=True))["files"] == 4
    (model / "vocab.txt").rename(model / "words")
    (model / "vocab.txt").symlink_to("words")
    assert upload(options(model, dry_run=True))["files"] == 4
    (model / "words").rename(tmp_path / "words")
    (model / "vocab.txt").unlink()
    (model / "vocab.txt").symlink_to(tmp_path / "words")
    with pytest.raises(InputError, match=r"vocab\.txt: links to a file outside the directory"):
        upload(options(model, dry_run=True))


def test_errors_are_one_line(model, hub, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nowhere: no such model directory$"):
        upload(options(tmp_path / "nowhere"))
    (model.parent / "config.json").write_text("{}")
    with pytest.raises(InputError, match="is a run directory; its model is "):
        upload(options(model.parent))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"contains no supported model"):
        upload(options(tmp_path / "empty"))
    hub.is_broken = True
    with pytest.raises(InputError, match=r"^ada/opinions: can't be uploaded \(HfHubHTTPError: "):
        upload(options(model))
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match=r"can't be uploaded \(.*401"):
        upload(options(model))
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="there is no token of Hugging Face: run hf auth login"):
        upload(options(model))
    (model / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"vocab\.txt"):
        upload(options(model))
    (model / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model.safetensors: no such file; the model is incomp"):
        upload(options(model))
    assert not hub.commits
    with pytest.raises(InputError, match="--to must be user/name or organization/name, found 'x'"):
        options(model, to="x")


def test_the_command(saved):
    with serving() as hub:
        words = [ROOT / "scripts/upload.py", saved, "--to", "ada/opinions"]
        env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
        done = programs.run(words, env={**programs.os.environ, **env})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["url"] == f"{hub.url}/ada/opinions"
        assert hub.commits == [NAMES]
