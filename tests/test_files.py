import concurrent.futures
import errno
import fcntl
import gzip
import hashlib
import json
import math
import os
import pathlib
import platform
import signal
import subprocess
import sys
import threading

import pytest

from kerasbert import files
from kerasbert.data.corpus.reader import Corpus
from kerasbert.errors import InputError
from kerasbert.files import atomic
from kerasbert.serving.client import SavedModelClient
from kerasbert.text.vocabulary import save_vocabulary
from kerasbert.training.run_directory import RunDirectory


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_sha256(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(data)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()


def test_sha256_of_a_directory(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = set()
    for name, content in (("a/x", "1"), ("a/x", "2"), ("a/b/x", "2"), ("a/b/y", "2")):
        (tmp_path / name).write_text(content)
        found.add(files.sha256_of_all(tmp_path / "a"))
    assert len(found) == 4
    assert files.sha256_of_all(tmp_path / "a/x") == files.sha256(tmp_path / "a/x")


def test_files_too_large_to_be_read_whole(tmp_path):
    path = tmp_path / "config.json"
    with open(path, "wb") as file:
        file.truncate(100 * 10**9)  # of nothing: it takes no room
    for read in (files.read_json, files.read_bytes):
        with pytest.raises(InputError, match="has 100,000,000,000 bytes; at most 1,073,741,824"):
            read(path)


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("newline", [None, "", "\n"])
def test_the_line_that_is_not_utf8(tmp_path, end, newline):
    path = tmp_path / f"a.txt{end}"
    lines = ["\ufeff中"] + ["é\u2028中"] * 9000 + ["x"]
    data = "\r\n".join(lines).encode() + b"\xe9\r\nmore\xff\n"
    path.write_bytes(gzip.compress(data) if end else data)
    message = rf"a\.txt{end}:9002: is not UTF-8 \(invalid continuation byte\)$"
    with (
        pytest.raises(InputError, match=message),
        files.open_text(path, newline, is_text=True) as file,
    ):
        file.read()


def test_a_pipe_that_is_not_utf8(tmp_path):
    """It can't be read again to find the line."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[b"a\n\xff\n"])
    writer.start()
    with (
        pytest.raises(InputError, match=r"pipe: is not UTF-8 \(invalid start byte\)$"),
        files.open_text(path) as file,
    ):
        file.read()
    writer.join()


def test_exists(tmp_path):
    (tmp_path / "x").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    places = [tmp_path, tmp_path / "x", tmp_path / "y", tmp_path / "x" / "y", tmp_path / "link"]
    assert list(map(files.exists, places)) == [True, True, False, False, False]
    assert list(map(files.is_directory, places)) == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("n" * 300, "File name too long"), ("a/" * 3000, "File name too long"), ("a\0b", "null byte")],
    ids=["name", "path", "NUL"],
)
@pytest.mark.parametrize(
    "use",
    [
        files.exists,
        files.is_directory,
        files.refuse_existing,
        Corpus,
        SavedModelClient,
        lambda name: RunDirectory(name, {}),
    ],
)
def test_names_that_no_file_can_have(use, name, reason):
    with pytest.raises(InputError, match=f"can't be used: .*{reason}"):
        use(name)


def test_json_round_trip(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    files.write_json(path, {"word": "Brücke中", "list": [1, None, 2.5]})
    assert files.read_json(path) == {"word": "Brücke中", "list": [1, None, 2.5]}
    assert "Brücke中" in path.read_text(encoding="utf-8")
    assert names(tmp_path) == ["a.json"]


def test_json_has_no_nan():
    value = {"pearson": math.nan, "all": [1.5, (-math.inf, "中")], "\udcff.tsv": "\ud800"}
    line = files.to_json(value)
    line.encode("utf-8")
    read = json.loads(line, parse_constant=pytest.fail)
    assert read == {"pearson": None, "all": [1.5, [None, "中"]], "\udcff.tsv": "\ud800"}


def test_files_of_json_have_no_nan(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"pearson": math.nan, "all": [math.inf, "中\n\x9b"], "x": "\ud800"})
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 8
    read = json.loads(text, parse_constant=pytest.fail)
    assert read == {"pearson": None, "all": [None, "中\n\x9b"], "x": "\ud800"}


def test_what_is_not_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"new": object()})
    assert files.read_json(path) == {"old": 1}
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[1]", r"the content must be an object, found \[1\]"),
        (b"[" * 100_000, r"not valid JSON \(nested too deeply\)"),
        (b"[" * 70 + b"]" * 70, r"not valid JSON \(nested too deeply\)"),
        (b'{"a": ' + b"1" * 5000 + b"}", r"not valid JSON \(an integer of thousands of digits\)"),
        (b"[" + b"{}," * 7_000_000 + b"{}]", "14,000,002 values in 21,000,004 characters"),
        (None, "no such file"),
    ],
)
def test_bad_json(tmp_path, data, message):
    path = tmp_path / "a.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=f"a.json: {message}"):
        files.read_json(path)


def test_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path, "directory"), (tmp_path / "pipe", "pipe"), ("/dev/zero", "pipe")):
        with pytest.raises(InputError, match=f"{path}: is a {kind}"):
            files.read_json(path)
    with pytest.raises(InputError, match="can't be read: File name too long"):
        files.read_json(tmp_path / ("a" * 300))


def test_json_can_be_shown_on_a_terminal():
    value = {"\x1b[2J": "\x9b2J\u202e\u2028"}
    line = files.to_json(value)
    assert line.isprintable()
    assert json.loads(line) == value


def test_a_new_directory_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "target"
    with files.new_directory(target) as directory:
        (directory / "file").write_text("new")
        assert not target.exists()
        assert directory.parent == target.parent
        assert directory.name.startswith(".")
    assert (target / "file").read_text() == "new"
    assert names(target.parent) == ["target"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("exists", [False, True])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, error, exists):
    target = tmp_path / "target"
    if exists:
        target.mkdir()
        (target / "file").write_text("old")

    def write_and_fail():
        with files.new_directory(target, overwrite=True) as directory:
            (directory / "file").write_text("new")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert names(tmp_path) == (["target"] if exists else [])
    if exists:
        assert (target / "file").read_text() == "old"


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_overwrite(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("old")
    else:
        real = tmp_path / ("real" if kind == "link" else "target")
        real.mkdir()
        (real / "only-in-the-old").write_text("old")
        if kind == "link":
            target.symlink_to(real)
    with files.new_directory(target, overwrite=True) as directory:
        (directory / "file").write_text("new")
    assert names(target) == ["file"]
    assert names(tmp_path) == (["real", "target"] if kind == "link" else ["target"])
    if kind == "link":
        assert names(tmp_path / "real") == ["only-in-the-old"]


def test_an_existing_directory_is_not_overwritten(tmp_path):
    (tmp_path / "target").mkdir()
    with (
        pytest.raises(InputError, match="target exists already"),
        files.new_directory(tmp_path / "target"),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_others_write_meanwhile_is_kept(tmp_path, exists, overwrite):
    target = tmp_path / "target"
    if exists:
        target.mkdir()
        (target / "file").write_text("old")

    def check(path):
        if "mine" in names(path):
            raise InputError(f"{path}: holds what others wrote")

    def write():
        with files.new_directory(target, overwrite=overwrite, check=check) as directory:
            (directory / "file").write_text("new")
            target.mkdir(exist_ok=True)
            (target / "mine").write_text("mine")

    with pytest.raises(InputError, match="holds what others" if overwrite else "exists already"):
        write()
    assert names(tmp_path) == ["target"]
    kept = [] if exists and not overwrite else ["mine"]
    assert names(target) == sorted([*kept, *(["file"] if exists else [])])


def test_a_file_as_parent(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="target can't be written"),
        files.new_directory(tmp_path / "file" / "target"),
    ):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("name", ["a.json", "b.json.gz", "c.d/e.json", ".json.gz/f.json"])
def test_endings(name):
    assert files.ending(name) == ".json"
    assert files.ending(f"{name}.txt") == ".txt"


def test_byte_order_mark_of_json(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert files.read_json(tmp_path / "a.json") == {"a": 1}


# === One at a time ===

HOLD = """
import sys, time
from kerasbert import files
with files.locked(sys.argv[1], inside=sys.argv[2:]):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold():
    """Starts a process that has a lock, and returns it."""
    started = []

    def hold(path, *inside):
        command = [sys.executable, "-c", HOLD, str(path), *inside]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "locked\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def assert_is_refused(path, process, **inside):
    with (
        pytest.raises(InputError) as error,
        files.locked(path, **inside),
    ):
        pytest.fail("the block must not run")
    start = f"{path}: is being written by process {process} on {platform.node()} ("
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("inside", [(), ("model",)])
def test_two_processes_at_one_output(tmp_path, hold, inside):
    path = tmp_path / "deep" / "output"
    holder = hold(path, *inside)
    assert_is_refused(path, holder.pid, inside=inside)
    with files.locked(tmp_path / "deep" / "other", inside=inside):
        pass
    holder.kill()  # SIGKILL: it can't tidy up
    holder.wait()
    with files.locked(path, inside=inside):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(assert_is_refused, path, os.getpid(), inside=inside).result()
        with files.locked(path, inside=inside):  # for who has it, it is no obstacle
            pass
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(assert_is_refused, path, os.getpid(), inside=inside).result()
    with files.locked(path, inside=inside):
        pass


def test_two_processes_that_write_one_directory(tmp_path, hold):
    (tmp_path / "output").mkdir()
    hold(tmp_path / "output")
    with (
        pytest.raises(InputError, match=r"output: is being written by process \d+ on .*since 20"),
        files.new_directory(tmp_path / "output", overwrite=True),
    ):
        pytest.fail("the block must not run")


def test_many_threads_take_turns(tmp_path):
    """Also while the file of the lock is removed and made again."""
    inside, turns, refused = [], [], []

    def take_turns():
        while len(turns) < 200:
            try:
                with files.locked(tmp_path / "deep" / "output"):
                    inside.append(1)
                    turns.append(len(inside))
                    inside.pop()
            except InputError as error:
                refused.append(str(error))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(take_turns) for _ in range(4)]:
            future.result()
    assert set(turns) == {1}
    assert all("is being written by" in line for line in refused)
    assert not list(tmp_path.glob("*/*"))


def test_what_comes_to_nothing_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), files.locked(tmp_path / "a" / "b" / "c", inside=["model"]):
        raise KeyError
    with pytest.raises(KeyError), files.new_directory(tmp_path / "a" / "b" / "c"):
        raise KeyError
    assert names(tmp_path) == []


def test_lock_that_is_no_file_of_ours(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".output.lock").symlink_to(tmp_path / "precious")
    with (
        pytest.raises(InputError, match="output can't be written: Too many levels of symbolic"),
        files.locked(tmp_path / "output"),
    ):
        pytest.fail("the block must not run")
    assert (tmp_path / "precious").read_text() == "mine"


def test_file_system_without_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    other = tmp_path / ".output.1.tmp"
    other.mkdir()
    with (
        pytest.warns(UserWarning, match="output: its file system has no locks"),
        files.new_directory(tmp_path / "output"),
    ):
        pass
    assert other.exists()  # perhaps that is being written
    assert (tmp_path / "output").is_dir()


def leave(directory, name):
    (directory / name).mkdir()
    (directory / name / "file").write_text(name)


def test_what_gone_processes_left(tmp_path):
    for name in (
        ".output.12.tmp",
        ".output.13.tmp",
        ".output.5.old",
        ".other.7.tmp",
        ".output.tmp",
    ):
        leave(tmp_path, name)
    (tmp_path / ".output.77.tmp").write_text("a file")
    leave(tmp_path, "output")
    with files.new_directory(tmp_path / "output", overwrite=True):
        assert names(tmp_path)[:-1] == [
            ".other.7.tmp",
            f".output.{os.getpid()}.tmp",
            ".output.lock",
            ".output.tmp",
        ]
    assert names(tmp_path) == [".other.7.tmp", ".output.tmp", "output"]


def test_what_a_gone_process_left_inside(tmp_path):
    leave(tmp_path, "model")
    leave(tmp_path, ".model.12.tmp")
    for name in (".config.json.12.tmp", ".vocab.txt.13.tmp"):
        (tmp_path / name).write_text("")
    with files.locked(tmp_path, inside=["model", "config.json"]):
        assert names(tmp_path) == [".lock", ".vocab.txt.13.tmp", "model"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_between_two_renames(tmp_path, overwrite):
    """What was moved away comes back, where the system can't exchange two names in one step."""
    leave(tmp_path, ".output.12.old")
    leave(tmp_path, ".output.12.tmp")

    def fail():
        with files.new_directory(tmp_path / "output", overwrite=overwrite):
            raise KeyError

    with pytest.raises(KeyError if overwrite else InputError):
        fail()
    assert names(tmp_path) == ["output"]
    assert (tmp_path / "output" / "file").read_text() == ".output.12.old"


# === Kills, full disks, power loss ===

REPLACE = """
import ctypes, os, signal, sys
from kerasbert import files
from kerasbert.files import atomic
if sys.argv[2] == "renames":
    atomic._exchange = lambda *_: False
moment = int(sys.argv[3])
def killing(function):
    def counted(*args, **kwargs):
        global moment
        moment -= 1
        if moment < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return counted
for module, name in ((os, "rename"), (os, "fsync"), (os, "unlink"), (os, "rmdir"), (os, "close")):
    setattr(module, name, killing(getattr(module, name)))
atomic._exchange = killing(atomic._exchange)
with files.new_directory(sys.argv[1], overwrite=True) as directory:
    (directory / "file").write_text("new")
print("ended")
"""


@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_replacing_is_killed_at_every_moment(tmp_path, way):
    """One version or the other is always there, or comes back with the next run."""
    for moment in range(30):
        target = tmp_path / str(moment) / "1"
        target.mkdir(parents=True)
        (target / "file").write_text("old")
        command = [sys.executable, "-c", REPLACE, str(target), way, str(moment)]
        ended = subprocess.run(command, capture_output=True, text=True)
        if way == "exchange" or target.exists():
            assert (target / "file").read_text() in ("old", "new")
        with files.locked(target):
            pass
        assert (target / "file").read_text() in ("old", "new")
        assert names(target.parent) == ["1"]
        if ended.stdout:
            break
        assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == "ended\n", ended.stderr
    assert moment > 6
    assert (target / "file").read_text() == "new"


def test_system_exchanges_names(tmp_path):
    leave(tmp_path, "one")
    leave(tmp_path, "other")
    assert atomic._exchange(tmp_path / "one", tmp_path / "other") == (sys.platform == "linux")
    if sys.platform == "linux":
        assert (tmp_path / "one" / "file").read_text() == "other"
    assert not atomic._exchange(tmp_path / "one", tmp_path / "missing")


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the disk, in its order: ("fsync", name), ("rename", name)."""
    found = []
    fsync, rename, replace, exchange = os.fsync, os.rename, os.replace, atomic._exchange

    def record(kind, function, name):
        def recorded(*args):
            found.append((kind, pathlib.Path(name(*args)).name))
            return function(*args)

        return recorded

    monkeypatch.setattr(
        os, "fsync", record("fsync", fsync, lambda d: os.readlink(f"/proc/self/fd/{d}"))
    )
    monkeypatch.setattr(os, "rename", record("rename", rename, lambda _, to: to))
    monkeypatch.setattr(os, "replace", record("rename", replace, lambda _, to: to))
    monkeypatch.setattr(atomic, "_exchange", record("rename", exchange, lambda _, to: to))
    return found


@pytest.mark.parametrize("overwrite", [False, True])
def test_directory_is_on_the_disk_before_it_has_its_name(tmp_path, calls, overwrite):
    target = tmp_path / "parent" / "target"
    if overwrite:
        target.mkdir(parents=True)
    with files.new_directory(target, overwrite=overwrite) as directory:
        (directory / "deep").mkdir()
        (directory / "deep" / "file").write_text("x")
        (directory / "other").write_text("x")
        hidden = directory.name
    renamed = calls.index(("rename", "target"))
    before = {("fsync", name) for name in ("file", "other", "deep", hidden)}
    assert set(calls[:renamed]) == before
    assert calls[renamed + 1 :] == [("fsync", "parent")]


def test_file_is_on_the_disk_before_it_has_its_name(tmp_path, calls):
    target = tmp_path / "parent" / "target"
    target.parent.mkdir()
    files.write_text(target, "x")
    hidden = f".target.{os.getpid()}.tmp"
    assert calls == [("fsync", hidden), ("rename", "target"), ("fsync", "parent")]


def test_move(tmp_path, calls):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    files.write_text(tmp_path / "here" / "file", "x")
    calls.clear()
    files.move(tmp_path / "here" / "file", tmp_path / "there" / "file")
    assert calls == [("rename", "file"), ("fsync", "there"), ("fsync", "here")]


def write_text(directory):
    files.write_text(directory / "file", "x" * 10_000)


def write_by_hand(directory):
    (directory / "file").write_text("x" * 10_000)


@pytest.mark.parametrize(
    ("write", "named"), [(write_text, "target/file"), (write_by_hand, "target")]
)
def test_full_disk(tmp_path, full_disk, write, named):
    def replace():
        with full_disk(4096), files.new_directory(tmp_path / "target", overwrite=True) as directory:
            write(directory)

    (tmp_path / "target").write_text("old")
    with pytest.raises(InputError) as error:
        replace()
    assert str(error.value) == f"{tmp_path / named} can't be written: File too large"
    assert names(tmp_path) == ["target"]
    assert (tmp_path / "target").read_text() == "old"


def test_full_disk_while_one_file_is_written(tmp_path, full_disk):
    (tmp_path / "file").write_text("old")
    with full_disk(4096), pytest.raises(InputError, match="file can't be written: File too large"):
        write_text(tmp_path)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_reserve(tmp_path, full_disk):
    with full_disk(4096):
        files.reserve(tmp_path, 4096)
        with pytest.raises(InputError, match=f"{tmp_path} can't be written: File too large"):
            files.reserve(tmp_path, 4097)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "whatever"), "No space left on device"),
        (OSError(errno.EACCES, "", "/else/where"), "Permission denied (/else/where)"),
        (OSError(errno.EACCES, "", "/x/.target.7.tmp/file"), "Permission denied"),
        (
            OSError("Can't\n(errno = 28, 'No space left on device')"),
            "No space left on device",
        ),
        (RuntimeError("{{node}} /x; Read-only file system [Op:Save]"), "Read-only file system"),
        (RuntimeError("a" * 10_000 + "\nb"), "a" * 200),
    ],
)
def test_reasons(error, reason):
    with (
        pytest.raises(InputError) as found,
        files.writing("target", RuntimeError),
    ):
        raise error
    assert str(found.value) == f"target can't be written: {reason}"


def test_urls_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = "s3://b/c: is a URL; this is written to a path of this machine only"
    for write in (files.new_directory, files.new_file, files.locked):
        with pytest.raises(InputError, match=message), write("s3://b/c"):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["~/models/1", "~", "~somebody/x", "./~/x"])
@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_a_home_directory_that_was_not_expanded(tmp_path, monkeypatch, path, kind):
    """As in `--output=~/models/1`, which bash leaves as it is."""
    monkeypatch.chdir(tmp_path)
    for write in (files.new_directory, files.new_file, files.locked):
        with (
            pytest.raises(InputError, match=r"begins with a ~ that was not expanded; write --outp"),
            write(kind(path)),
        ):
            pytest.fail("the block must not run")
    with pytest.raises(InputError, match=f"^{kind(path)}: begins with a ~"):
        save_vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], kind(path))
    assert names(tmp_path) == []


def test_directories_that_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~old").mkdir()
    for path in ("~old/x", str(tmp_path / "~new"), "new~"):
        files.write_text(path, "")
    assert names(tmp_path) == ["new~", "~new", "~old"]


def test_others_may_read_what_the_umask_lets_them(tmp_path):
    """safetensors writes files for the owner alone."""
    with files.new_directory(tmp_path / "model") as directory:
        (directory / "inner").mkdir()
        (directory / "inner" / "weights").touch(0o600)
    default = (tmp_path / "model").stat().st_mode & 0o666
    assert (tmp_path / "model" / "inner" / "weights").stat().st_mode & 0o777 == default
