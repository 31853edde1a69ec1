"""Serves an export with the REST and gRPC APIs of TensorFlow Serving."""

from kerasbert import program

if __name__ == "__main__":
    program.run("serve")
