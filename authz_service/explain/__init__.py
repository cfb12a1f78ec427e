"""One decision, step by step: what each of them found, and what the request would get."""
