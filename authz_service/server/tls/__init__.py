"""TLS on the gRPC port: whom the service says it is, and whom it believes the caller to be."""
