"""authz-service: external authorization for Envoy by OAuth 2 access tokens."""
