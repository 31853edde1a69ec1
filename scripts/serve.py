"""Serves exports with the REST and gRPC APIs of TensorFlow Serving, and a page to ask them."""

from kerasbert import program

if __name__ == "__main__":
    program.run("serve")
