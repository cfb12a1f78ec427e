"""Tests of a policy: read from files, run through the real decision, and what they reach."""
