"""The options of `serve`, one module for each part of the service that they set."""
