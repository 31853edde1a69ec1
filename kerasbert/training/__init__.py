"""Optimizers, schedules, and what a training run writes down."""
