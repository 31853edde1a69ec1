"""Optimizers, learning-rate schedules, the training loop, and the files of a training run.

adamw                       AdamW as BERT uses it
lamb                        LAMB, for large batches, as BERT uses it
AdamW, LAMB                 their classes
Warmup                      a schedule that rises, and falls
WarmupStableDecay           a schedule that rises, stays, and falls
averaged_weights            uses the moving average of the weights
make_strategy               a strategy of tf.distribute by its name
train                       the loop: Keras's fit, with checkpoints and evaluations
Checkpoints                 the state of a run, which can be resumed
ExactModel                  a Keras model with exact steps on several devices
distill                     trains a student to imitate a teacher
Distiller                   the model that does this
student_from                a student with layers of the teacher
"""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "AdamW": "optimizers",
        "Checkpoints": "checkpoints",
        "Distiller": ".distillation",
        "ExactModel": "exact_model",
        "LAMB": "optimizers",
        "Warmup": "schedules",
        "WarmupStableDecay": "schedules",
        "adamw": "optimizers",
        "averaged_weights": "optimizers",
        "distill": ".distillation",
        "lamb": "optimizers",
        "make_strategy": "strategies",
        "student_from": ".distillation",
        "train": "loop",
    },
    formerly={"distil": "distill"},
)
