"""Measures a server under load: latencies, rows per second, errors."""

from kerasbert import program

if __name__ == "__main__":
    program.run("load_test")
