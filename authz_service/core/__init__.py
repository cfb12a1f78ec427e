"""The decision and everything it is made of: values and pure functions.

Nothing in this package opens a socket or a file, reads the environment or a clock, or writes a log.
The rim of the service hands in what it read and carries out what was decided.
"""
