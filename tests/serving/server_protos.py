"""Messages of TensorFlow Serving's configuration that tensorflow-serving-api does not contain.

The fields, numbers and types are those of `servables/tensorflow/session_bundle_config.proto` and
`config/monitoring_config.proto` in tensorflow/serving, July 2026.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_WRAPPERS = wrappers_pb2.DESCRIPTOR.name
_INT64, _BOOL, _STRING = (f".google.protobuf.{kind}Value" for kind in ("Int64", "Bool", "String"))
_MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (1, _INT64),
        "batch_timeout_micros": (2, _INT64),
        "max_enqueued_batches": (3, _INT64),
        "num_batch_threads": (4, _INT64),
        "thread_pool_name": (5, _STRING),
        "allowed_batch_sizes": (6, _Field.TYPE_INT64, "repeated"),
        "pad_variable_length_inputs": (7, _Field.TYPE_BOOL),
        "enable_large_batch_splitting": (8, _BOOL),
        "max_execution_batch_size": (9, _INT64),
    },
    "PrometheusConfig": {"enable": (1, _Field.TYPE_BOOL), "path": (2, _Field.TYPE_STRING)},
    "MonitoringConfig": {"prometheus_config": (1, ".test.PrometheusConfig")},
}


def _classes() -> dict:
    file = descriptor_pb2.FileDescriptorProto(
        name="server.proto", package="test", syntax="proto3", dependency=[_WRAPPERS]
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, *repeated) in fields.items():
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            is_message = isinstance(kind, str)
            message.field.add(
                name=field,
                number=number,
                label=label,
                type=_Field.TYPE_MESSAGE if is_message else kind,
                type_name=kind if is_message else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"test.{name}")) for name in _MESSAGES}


CLASSES = _classes()
BatchingParameters, MonitoringConfig = (
    CLASSES[name] for name in ("BatchingParameters", "MonitoringConfig")
)
