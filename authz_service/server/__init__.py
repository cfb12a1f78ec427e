"""The running service: everything put together, started, watched and stopped in order."""
