"""Envoy's external authorization API: the only code that knows Envoy's messages."""
