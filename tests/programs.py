"""Runs programs in copies of a process that has imported TensorFlow, which takes seconds.

With --full they run in new processes, as for users.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile

import numpy as np

#: Whether programs get new processes.
fresh = False

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tensorflow", "tensorflow_text"])


def start(words, *, cwd=None, env=None):
    """Starts a Python file.

    Args:
        words: its path and its arguments.
        cwd: its working directory.
        env: its environment variables; None: those of this process.

    Returns:
        An object like a `subprocess.Popen` whose output is text and goes to pipes.
    """
    words = list(map(str, words))
    if not fresh:
        return _Copy(words, cwd, env)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *words], cwd=cwd, env=env, text=True, **pipes)


def end(process, timeout=150) -> subprocess.CompletedProcess:
    """Waits until a program has ended; kills it if it takes too long."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run(words, *, cwd=None, env=None, timeout=150) -> subprocess.CompletedProcess:
    """Runs a program and waits for it."""
    return end(start(words, cwd=cwd, env=env), timeout)


def arrays(program, directory, runs: dict, timeout=200) -> dict:
    """Runs a program several times in parallel, and returns its arrays; all end if one fails.

    Args:
        program: a program that takes a mode and the path of an .npz file to write.
        directory: directory for these files.
        runs: by name, the mode and environment variables.
    """
    own = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"} | {"CUDA_VISIBLE_DEVICES": "-1"}
    files = {name: directory / f"{name}.npz" for name in runs}
    processes = []
    try:
        for name, (mode, variables) in runs.items():
            processes.append(start([program, mode, files[name]], env={**own, **variables}))
        for process in processes:
            ended = end(process, timeout)
            assert ended.returncode == 0, ended.stderr[-3000:]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return {name: dict(np.load(file)) for name, file in files.items()}


class _Copy:
    """A program that runs in a copy of the process that has imported TensorFlow."""

    def __init__(self, words, cwd, env):
        self.args = words
        self.stdout, self.stderr = self._outputs = [_temporary_file() for _ in range(2)]
        names = [file.name for file in self._outputs]
        environment = dict(os.environ if env is None else env)
        given = (words, str(cwd or os.getcwd()), environment, names)
        self._process = context.Process(target=_run_file, args=given)
        self._process.start()
        self.pid, self.kill = self._process.pid, self._process.kill

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self._process.exitcode

    def communicate(self, timeout=None):
        self.wait(timeout)
        for file in self._outputs:
            file.seek(0)
        return tuple(file.read() for file in self._outputs)


def _temporary_file():
    return tempfile.NamedTemporaryFile("w+", encoding="utf-8")


def _run_file(words, directory, environment, outputs):
    """Runs a file as `python WORDS` does."""
    for descriptor, name in zip((1, 2), outputs, strict=True):
        with open(name, "ab") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = words
    sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
    runpy.run_path(words[0], run_name="__main__")
