"""Compares masks of Chinese characters with masks of whole words, for the same steps."""

from kerasbert import program

if __name__ == "__main__":
    program.run("chinese_words", "benchmarks")
