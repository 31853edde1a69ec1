"""A server with the APIs of TensorFlow Serving, for development and small services."""
