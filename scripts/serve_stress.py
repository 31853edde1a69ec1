"""Tests `kerasbert serve` under load: errors, memory, a SIGKILL, a new version, and its speed."""

from kerasbert import program

if __name__ == "__main__":
    program.run("serve_stress", "benchmarks")
