"""The JSON Schema of the policy file, for editors: its fields, their forms and their words."""

from authz_service.policy.json_schema.document import policy_schema, written_fields

__all__ = ["policy_schema", "written_fields"]
