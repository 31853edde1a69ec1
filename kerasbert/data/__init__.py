"""Files and datasets -> batches."""
