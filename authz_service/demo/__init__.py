"""The whole thing on one machine: what surrounds the service when it is tried out."""
