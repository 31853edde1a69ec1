"""Compares masks of Chinese characters with masks of whole words, and prints the table."""

from kerasbert import program

if __name__ == "__main__":
    program.run("chinese_words", "benchmarks")
