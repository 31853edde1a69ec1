"""Backbone + head + text, one file per task, written once for all families."""

from kerasbert.tasks.pretrainer import Pretrainer
from kerasbert.tasks.task import Task
from kerasbert.tasks.text_classifier import TextClassifier

__all__ = ["Pretrainer", "Task", "TextClassifier"]
