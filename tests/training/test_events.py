"""Event files are those that TensorFlow and TensorBoard read."""

import pytest
import tensorflow as tf

from kerasbert.training.events import EventWriter


def events(path):
    # It compares both checksums of each record.
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        yield tf.compat.v1.Event.FromString(record)


def test_tensorflow_reads_what_is_written(tmp_path):
    writer = EventWriter(tmp_path / "events")
    writer.write(1, {"loss": 1.5})
    writer.write(300_000, {"val_loss": -0.25, "ä" * 200: float("inf")})
    first, *rest = events(writer.path)
    assert first.file_version == "brain.Event:2"
    found = [(e.step, {v.tag: v.simple_value for v in e.summary.value}) for e in rest]
    assert found == [(1, {"loss": 1.5}), (300_000, {"val_loss": -0.25, "ä" * 200: float("inf")})]
    assert first.wall_time <= rest[0].wall_time <= rest[1].wall_time


def test_numbers_above_the_largest_float32_are_infinite(tmp_path):
    writer = EventWriter(tmp_path)
    writer.write(1, {"val_perplexity": 1e41, "least": -1e41})
    *_, event = events(writer.path)
    found = {value.tag: value.simple_value for value in event.summary.value}
    assert found == {"val_perplexity": float("inf"), "least": -float("inf")}


def test_writers_have_files_of_their_own(tmp_path):
    paths = {EventWriter(tmp_path).path for _ in range(3)}
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert len(paths) == 3
    with pytest.raises(OSError, match="exists"):
        EventWriter(next(iter(paths)))
