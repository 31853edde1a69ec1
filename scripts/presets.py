"""Lists architectures and public checkpoints, with the line that loads each."""

from kerasbert import program

if __name__ == "__main__":
    program.run("presets")
