"""The search for answers, traced once."""

from collections.abc import Callable

import tensorflow as tf


def answers(task, preprocessor) -> Callable:
    """The function from questions, contexts, `n` and windows at once to what `answers` gives.

    Both are lists of strings; the results are NumPy's.
    """

    def find(question, context, n, at_once):
        threshold = preprocessor.no_answer_threshold
        return preprocessor.answers(task, question, context, n, at_once, threshold)

    traced = tf.function(find, reduce_retracing=True, autograph=False)

    def search(questions: list[str], contexts: list[str], n: int, at_once: int) -> dict:
        found = traced(tf.constant(questions), tf.constant(contexts), n, at_once)
        return {name: value.numpy() for name, value in found.items()}

    return search
