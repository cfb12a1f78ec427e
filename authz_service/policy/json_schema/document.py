"""The JSON Schema of the policy file, for editors, made of the models that the loader uses.

It is of draft-07, which every editor knows whole. It takes whatever the loader takes, and knows
nothing of what a value means beside others.
"""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from annotated_types import MinLen
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from authz_service.core.forward import ForwardRules
from authz_service.core.hosts import HostPattern
from authz_service.policy import schema
from authz_service.policy.duration import spell_duration
from authz_service.policy.json_schema.field_descriptions import FIELDS, MAPPINGS
from authz_service.policy.json_schema.field_types import METHODS, TEXTS, VALUES, JsonSchema, one_of

_NOT_WRITTEN: Final = frozenset({"public"})  # has a form of its own
_WITH_NULL: Final = frozenset({"claims_header"})


def policy_schema() -> JsonSchema:
    """The schema of a policy file, with a description of every field."""
    whole, *parts = MAPPINGS
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:authz-service:policy:1",
        "title": "authz-service policy",
        **_mapping(whole),
        "definitions": {_name(model): _with_short_forms(model) for model in parts},
    }


def written_fields(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of *model* that a file may have, each with its type and what goes with it."""
    return {
        name: annotation
        for name, annotation in get_type_hints(model, include_extras=True).items()
        if name in model.model_fields
        and name not in _NOT_WRITTEN
        and model.model_fields[name].annotation is not NoneType  # not supported yet
    }


def _name(model: type[BaseModel]) -> str:
    """`ClaimValueFields` as `claimValue`."""
    name = model.__name__.removesuffix("Fields")
    return name[0].lower() + name[1:]


def _mapping(model: type[BaseModel]) -> JsonSchema:
    fields = written_fields(model)
    required = [name for name in fields if model.model_fields[name].is_required()]
    return {
        "description": MAPPINGS[model],
        "type": "object",
        "properties": {name: _field(model, name, kind) for name, kind in fields.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
        **_BESIDE.get(model, {}),
    }


# What the models and the compiler say of several fields of one mapping.
_BESIDE: Final[dict[type[BaseModel], JsonSchema]] = {
    schema.IssuerFields: {"not": {"required": ["jwks_uri", "jwks_file"]}},
    schema.ClaimValueFields: {"minProperties": 1, "not": {"required": ["any_of", "present"]}},
}


def _with_short_forms(model: type[BaseModel]) -> JsonSchema:
    mapping = _mapping(model)
    if model not in _SHORT_FORMS:
        return mapping
    description = mapping.pop("description")
    return {"description": description, "anyOf": [*_SHORT_FORMS[model], mapping]}


def _field(model: type[BaseModel], name: str, annotation: object) -> JsonSchema:
    kind = _schema(annotation)
    if name in _WITH_NULL:
        kind = {"anyOf": [kind, {"type": "null"}]}
    if "$ref" in kind:  # in draft-07, nothing beside it counts
        kind = {"type": "object", "allOf": [kind]}
    described = {"description": FIELDS[model][name], **kind}
    default = _default(model, name)
    if default is not None:
        described["description"] += f" Default: {_words(default[0])}."
        described["default"] = default[0]
    return described


def _default(model: type[BaseModel], name: str) -> tuple[object] | None:
    """The default as a file spells it, or None where it depends on something else."""
    if (model, name) in _DEFAULTS_OF_CORE:
        return (_DEFAULTS_OF_CORE[model, name],)
    field = model.model_fields[name]
    if field.is_required() or isinstance(field.default, BaseModel):
        return None
    if field.default is None and name not in _WITH_NULL:
        return None
    return (_spelled(field.default),)


_FORWARD: Final = ForwardRules()
_DEFAULTS_OF_CORE: Final[dict[tuple[type[BaseModel], str], object]] = {
    (schema.ForwardFields, "headers"): {name: claim.text for name, claim in _FORWARD.headers},
    (schema.ForwardFields, "strip"): list(_FORWARD.strip),
}


def _spelled(value: object) -> object:
    """A value of a model as a file has it; a number that is no integer there is a duration."""
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, float):
        return spell_duration(value)
    return str(value) if isinstance(value, HostPattern) else value


def _words(default: object) -> str:
    """A default as YAML has it on one line."""
    match default:
        case bool():
            return "true" if default else "false"
        case None:
            return "null"
        case list():
            return ", ".join(map(_words, default)) or "none"
        case dict():
            return (
                ", ".join(f"{name}: {_words(value)}" for name, value in default.items()) or "none"
            )
        case _:
            return str(default)


def _schema(annotation: Any) -> JsonSchema:  # noqa: ANN401 - any type expression
    """What *annotation* takes. Raises LookupError for a type that nothing is known of."""
    for known, text in TEXTS:
        if annotation == known:
            return text.value()
    for known, value in VALUES:
        if annotation == known:
            return dict(value)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {"$ref": f"#/definitions/{_name(annotation)}"}
    return _composed(annotation)


def _composed(annotation: Any) -> JsonSchema:  # noqa: ANN401 - as above
    origin, arguments = get_origin(annotation), get_args(annotation)
    if NoneType in arguments:
        [inner] = set(arguments) - {NoneType}
        return _schema(inner)
    if origin is Annotated:
        return _annotated(*arguments)
    if origin is Literal:
        return one_of(arguments) if isinstance(arguments[0], str) else {"const": arguments[0]}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict:
        return _members(*arguments)
    message = f"no JSON Schema is known for {annotation}"
    raise LookupError(message)


def _annotated(kind: Any, *metadata: object) -> JsonSchema:  # noqa: ANN401 - as above
    inner = _schema(kind)
    if get_origin(kind) is not list:
        return inner
    bounds = [
        bound for field in metadata if isinstance(field, FieldInfo) for bound in field.metadata
    ]
    if any(isinstance(bound, MinLen) for bound in bounds):
        inner["minItems"] = 1
    if any(isinstance(information, BeforeValidator) for information in metadata):
        return {"anyOf": [inner["items"], inner]}  # one value is a list of one
    return inner


def _members(key: object, value: object) -> JsonSchema:
    names = next(text for known, text in TEXTS if key == known)
    inner = _schema(value)
    offered = {"properties": dict.fromkeys(METHODS, inner)} if key == schema.Method else {}
    return {
        "type": "object",
        **offered,
        "propertyNames": names.key(),
        "additionalProperties": inner,
    }


_SHORT_FORMS: Final[dict[type[BaseModel], list[JsonSchema]]] = {
    schema.RequirementFields: [*one_of(["public"])["anyOf"], _schema(list[schema.Scope])],
    schema.ClaimValueFields: _schema(schema.ExpectedClaim)["anyOf"],
}
