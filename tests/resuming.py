"""Killing a program that trains, and starting it again."""

import subprocess
import time


def assert_resumes_bitwise(program, tmp_path, **process):
    """Compares a run that was killed after a checkpoint with one that was not.

    Args:
        program: list of strings, the command without `--output`, which is set here.
        tmp_path: directory of the two runs.
        **process: as in `subprocess.Popen`.
    """
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    def start(directory):
        command = [*program, f"--output={directory}"]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **process)

    def end(directory, child):
        _, said = child.communicate()
        assert child.returncode == 0, said
        assert ("resuming" in said) == (directory == cut)
        return (directory / "model" / "model.safetensors").read_bytes()

    killed = start(cut)
    while killed.poll() is None and not list(cut.glob("checkpoints/step-*")):
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    assert end(cut, start(cut)) == end(whole, start(whole))
