"""What training asks of Keras's backend: chosen here, and nowhere else.

Losses (`global_loss`), optimizers (`exact_optimizer`) and models (`exact_model`) are the same on
every backend. What they need of it has the same names in `steps_tensorflow` and `steps_jax`:

- `GlobalBatchSteps`: the steps of a `ExactModel`,
- `COUNTER_DTYPE`, `LONG_SHAPE`, `counter_scope`: of variables that count,
- `keep_with`: makes variables an optimizer's, where a step needs that,
- `num_replicas`, `sum_over_replicas`: of what each replica has of a tensor,
- `gradients_of_all`, `global_norm`: the gradients of the global batch, and their norm,
- `update_variables`: changes variables, if the gradients are finite,
- `result_spec`: shape and dtype of what a function returns.
"""

import keras

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if ON_TENSORFLOW:
    from kerasbert.training import steps_tensorflow as backend
else:
    from kerasbert.training import steps_jax as backend

__all__ = ["ON_TENSORFLOW", "backend"]
