"""The backend of training: `backend` is `steps_tensorflow` or `steps_jax`.

Losses (`global_loss`), optimizers (`exact_optimizer`) and models (`exact_model`) are the same on
every backend. Both modules define what differs:

- `GlobalBatchSteps`: the steps of an `ExactModel`,
- `COUNTER_DTYPE`, `LONG_SHAPE`, `counter_scope`: dtype, shape and scope of counters,
- `keep_with`: adds variables to an optimizer's, if steps require it,
- `num_replicas`, `sum_over_replicas`: the number of replicas, and sums over them,
- `gradients_of_all`, `global_norm`: the gradients of the global batch, and their norm,
- `update_variables`: updates variables if the gradients are finite,
- `result_spec`: shape and dtype of a function's result.
"""

import keras

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if ON_TENSORFLOW:
    from kerasbert.training import steps_tensorflow as backend
else:
    from kerasbert.training import steps_jax as backend

__all__ = ["ON_TENSORFLOW", "backend"]
