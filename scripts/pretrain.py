"""Pretrains a model, from scratch or from another one."""

from kerasbert import program

if __name__ == "__main__":
    program.run("pretrain")
