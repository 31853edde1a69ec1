"""Hosts on one machine: network namespaces that a bridge joins, whose links can fail.

As a program, `python network.py NAMESPACE PROGRAM ARGUMENTS` runs another in a namespace.
"""

import contextlib
import ctypes
import os
import pathlib
import runpy
import shutil
import subprocess
import sys

_CLONE_NEWNET = 0x40000000  # of <linux/sched.h>


class Network:
    """So many hosts with an address each; needs root and Linux.

    Args:
        count: how many.

    Raises:
        OSError: this process may not make them, or has no `ip` or `tc`.
    """

    def __init__(self, count: int):
        if sys.platform != "linux" or os.geteuid() or not all(map(shutil.which, ("ip", "tc"))):
            raise OSError("network namespaces need Linux, root, ip and tc")
        self.addresses = [f"10.77.0.{index + 1}" for index in range(count)]
        self.names = [f"kerasbert-{os.getpid()}-{index}" for index in range(count)]
        self.hub = f"kerasbert-{os.getpid()}-hub"
        try:
            self._make()
        except OSError:
            self.close()
            raise

    def _make(self) -> None:
        for name in (self.hub, *self.names):
            _run("ip", "netns", "add", name)
        self._ip(self.hub, "link add bridge type bridge")
        self._ip(self.hub, "link set bridge up")
        for index, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            self._ip(self.hub, f"link add port{index} type veth peer name eth0 netns {name}")
            self._ip(self.hub, f"link set port{index} master bridge up")
            self._ip(name, f"address add {address}/24 dev eth0")
            self._ip(name, "link set eth0 up")
            self._ip(name, "link set lo up")

    def _ip(self, name: str, words: str) -> None:
        _run("ip", "-n", name, *words.split())

    def command(self, index: int, words: list) -> list:
        """The words of a Python program, so that it runs on a host."""
        return [__file__, self.names[index], *words]

    def unplug(self, index: int) -> None:
        """Cuts a host off: nothing reaches it any more, and nobody is told."""
        self._ip(self.hub, f"link set port{index} down")

    def slow_down(self, index: int, rate: str) -> None:
        """Lets so much through to and from a host, such as "1mbit" a second."""
        for name, device in ((self.hub, f"port{index}"), (self.names[index], "eth0")):
            limit = f"qdisc replace dev {device} root tbf rate {rate} burst 10k latency 400ms"
            _run("tc", "-n", name, *limit.split())

    def close(self) -> None:
        """Takes all of it down."""
        for name in (self.hub, *self.names):
            with contextlib.suppress(OSError):
                _run("ip", "netns", "delete", name)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


def _enter(name: str) -> None:
    """What `os.setns` does from Python 3.12 on."""
    descriptor = os.open(pathlib.Path("/run/netns", name), os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    os.close(descriptor)


if __name__ == "__main__":
    _, namespace, *sys.argv = sys.argv
    _enter(namespace)
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
