"""Our transcription of the ext_authz API says on the wire what the real one says.

Ours may leave things out. Whatever it has, the real API has as well, by the same name and with
the same number and type.
"""

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    OneofDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from authz_service import _proto
from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)

REAL_API = Path(__file__).with_name("real_api.py")
OUR_PREFIX = "authz_service/_proto/"
AUTH = "envoy.service.auth.v3"
CORE = "envoy.config.core.v3"
MEMBERS = (
    *("message_type", "nested_type", "field", "oneof_decl"),
    *("enum_type", "value", "service", "method"),
)

Elements = Mapping[str, Message]


def ask_the_real_api(
    question: str, *names: str, given: bytes = b"", path: Path | None = None
) -> bytes:
    """Put a question to real_api.py, with *path* before the usual module path."""
    return subprocess.run(
        [sys.executable, str(REAL_API), question, *names],
        input=given,
        stdout=subprocess.PIPE,
        env=os.environ | ({"PYTHONPATH": str(path)} if path else {}),
        check=True,
    ).stdout


def our_files() -> list[FileDescriptorProto]:
    """Describe the .proto files of every generated module."""
    found = []
    for module in pkgutil.walk_packages(_proto.__path__, f"{_proto.__name__}."):
        if module.name.endswith("_pb2"):
            described = FileDescriptorProto()
            import_module(module.name).DESCRIPTOR.CopyToProto(described)
            described.name = described.name.removeprefix(OUR_PREFIX)
            found.append(described)
    return found


def members(scope: str, element: Message) -> Iterator[tuple[str, Message]]:
    """Yield what *element* declares, at any depth, each by its full name."""
    for kind in MEMBERS:
        for member in getattr(element, kind, ()):
            name = f"{scope}.{member.name}"
            yield name, member
            yield from members(name, member)


def elements(files: Iterable[FileDescriptorProto]) -> dict[str, Message]:
    """Return the files, and all that they declare by full name."""
    found: dict[str, Message] = {}
    for file in files:
        found |= {file.name: file, **dict(members(file.package, file))}
    return found


def fact(name: str, declared: Elements) -> str:
    """Say all about one element that the wire, or a gRPC peer, depends on."""
    match declared[name]:
        case FileDescriptorProto() as file:
            return f"{file.syntax} package {file.package}"
        case DescriptorProto() as message:
            return "map entry" if message.options.map_entry else "message"
        case FieldDescriptorProto() as field:
            label = FieldDescriptorProto.Label.Name(field.label)
            kind = FieldDescriptorProto.Type.Name(field.type)
            presence = "explicit" if field.proto3_optional else "default"
            oneof = oneof_of(name, field, declared)
            return f"{label} {kind} {field.type_name} {presence} {oneof} = {field.number}"
        case EnumValueDescriptorProto() as value:
            return f"= {value.number}"
        case MethodDescriptorProto() as method:
            streams = f"{method.client_streaming} {method.server_streaming}"
            return f"{method.input_type} {method.output_type} {streams}"
        case other:
            return other.DESCRIPTOR.name


def oneof_of(name: str, field: FieldDescriptorProto, declared: Elements) -> str:
    """Return the name of the oneof that a field is a member of, or nothing."""
    message = declared[name.rpartition(".")[0]]
    if not field.HasField("oneof_index") or not isinstance(message, DescriptorProto):
        return ""
    return message.oneof_decl[field.oneof_index].name


def differences(ours: Elements, theirs: Elements) -> dict[str, tuple[str, str]]:
    """Return what ours has and theirs has not, or has otherwise, with both facts."""
    facts = {
        name: (fact(name, ours), fact(name, theirs) if name in theirs else "absent")
        for name in ours
    }
    return {name: (here, there) for name, (here, there) in facts.items() if here != there}


@pytest.fixture
def ours() -> Elements:
    """Return what our transcription declares."""
    return elements(our_files())


@pytest.fixture(scope="module")
def theirs() -> Elements:
    """Return what the same files of the real API declare."""
    names = [file.name for file in our_files()]
    described = FileDescriptorSet.FromString(ask_the_real_api("describe", *names))
    return elements(described.file)


def test_all_that_we_declare_is_declared_alike_by_the_real_api(
    ours: Elements, theirs: Elements
) -> None:
    assert differences(ours, theirs) == {}


@pytest.mark.parametrize(
    "name",
    [
        f"{AUTH}.Authorization.Check",
        f"{AUTH}.CheckRequest.attributes",
        f"{AUTH}.CheckResponse.http_response",
        f"{AUTH}.AttributeContext.HttpRequest.HeadersEntry.key",
        f"{CORE}.HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD",
        "envoy.type.v3.StatusCode.Forbidden",
        "envoy/service/auth/v3/attribute_context.proto",
    ],
)
def test_the_comparison_reaches_every_kind_of_element(
    ours: Elements, theirs: Elements, name: str
) -> None:
    assert name in ours
    assert name in theirs


def test_no_append_action_of_the_real_api_is_left_out(ours: Elements, theirs: Elements) -> None:
    enum = f"{CORE}.HeaderValueOption.HeaderAppendAction."

    assert {name for name in ours if name.startswith(enum)} == {
        name for name in theirs if name.startswith(enum)
    }


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (f"{AUTH}.CheckResponse.status", FieldDescriptorProto(number=9)),
        (
            f"{AUTH}.CheckResponse.status",
            FieldDescriptorProto(label=FieldDescriptorProto.LABEL_REPEATED),
        ),
        (f"{AUTH}.CheckResponse.status", FieldDescriptorProto(type_name=".google.rpc.Code")),
        (f"{AUTH}.CheckResponse.status", FieldDescriptorProto(oneof_index=0)),
        (
            f"{AUTH}.DeniedHttpResponse.body",
            FieldDescriptorProto(type=FieldDescriptorProto.TYPE_BYTES),
        ),
        (f"{AUTH}.DeniedHttpResponse.body", FieldDescriptorProto(proto3_optional=True)),
        (
            f"{CORE}.HeaderValueOption.HeaderAppendAction.ADD_IF_ABSENT",
            EnumValueDescriptorProto(number=9),
        ),
        (f"{AUTH}.Authorization.Check", MethodDescriptorProto(input_type=".google.rpc.Status")),
        (f"{AUTH}.Authorization.Check", MethodDescriptorProto(output_type=".google.rpc.Status")),
        (f"{AUTH}.Authorization.Check", MethodDescriptorProto(client_streaming=True)),
        (f"{AUTH}.Authorization.Check", MethodDescriptorProto(server_streaming=True)),
        ("envoy/service/auth/v3/external_auth.proto", FileDescriptorProto(syntax="proto2")),
    ],
    ids=lambda value: str(value).strip().replace("\n", " "),
)
def test_a_changed_declaration_is_reported(ours: Elements, name: str, change: Message) -> None:
    changed = elements(our_files())
    changed[name].MergeFrom(change)

    assert differences(changed, ours).keys() == {name}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (f"{AUTH}.OkHttpResponse", DescriptorProto(name="renamed")),
        (f"{AUTH}.OkHttpResponse.headers", FieldDescriptorProto(name="renamed")),
        (f"{AUTH}.CheckResponse.http_response", OneofDescriptorProto(name="renamed")),
        ("envoy.type.v3.StatusCode.OK", EnumValueDescriptorProto(name="renamed")),
        (f"{AUTH}.Authorization", ServiceDescriptorProto(name="renamed")),
        (f"{AUTH}.Authorization.Check", MethodDescriptorProto(name="renamed")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_changed_name_is_reported(ours: Elements, name: str, change: Message) -> None:
    files = our_files()
    elements(files)[name].MergeFrom(change)
    renamed = f"{name.rpartition('.')[0]}.renamed"

    assert differences(elements(files), ours)[renamed][1] == "absent"


def test_a_changed_oneof_is_reported_for_each_of_its_fields(ours: Elements) -> None:
    files = our_files()
    elements(files)[f"{AUTH}.CheckResponse.http_response"].MergeFrom(
        OneofDescriptorProto(name="renamed")
    )

    assert differences(elements(files), ours).keys() == {
        f"{AUTH}.CheckResponse.renamed",
        f"{AUTH}.CheckResponse.denied_response",
        f"{AUTH}.CheckResponse.ok_response",
    }


def test_the_real_api_is_found_behind_another_package_named_envoy(tmp_path: Path) -> None:
    decoy = tmp_path / "envoy" / "__init__.py"
    decoy.parent.mkdir()
    decoy.write_text("raise ImportError('not this one')\n", encoding="utf-8")
    name = "envoy/type/v3/http_status.proto"

    described = FileDescriptorSet.FromString(ask_the_real_api("describe", name, path=tmp_path))

    assert [file.name for file in described.file] == [name]


def test_check_request_of_the_real_api_is_read_by_ours() -> None:
    http = {
        "id": "7",
        "method": "DELETE",
        "headers": {"authorization": "Bearer a.b.c", "x-request-id": "r"},
        "path": "/products/1?force=true",
        "host": "shop.example.com:8443",
        "scheme": "https",
        "protocol": "HTTP/2",
        "headerMap": {"headers": [{"key": "x-raw", "value": "v", "rawValue": "AP/+"}]},
    }
    peer = {"address": {"socketAddress": {"address": "192.0.2.1", "portValue": 443}}}
    others = {"query": "q", "fragment": "f", "size": "3", "body": "abc", "rawBody": "YWJj"}
    sent = {
        "attributes": {
            "source": {**peer, "service": "s", "principal": "p", "labels": {"a": "b"}},
            "destination": peer,
            "request": {"time": "2030-01-01T00:00:00Z", "http": http | others},
            "contextExtensions": {"virtual_host": "shop"},
            "metadataContext": {"filterMetadata": {"filter": {"key": [1, "two"]}}},
            "routeMetadataContext": {"filterMetadata": {"route": {}}},
            "tlsSession": {"sni": "shop.example.com"},
        }
    }

    wire = ask_the_real_api("encode", f"{AUTH}.CheckRequest", given=json.dumps(sent).encode())

    assert MessageToDict(CheckRequest.FromString(wire)) == {
        "attributes": {
            "request": {"http": http},
            "contextExtensions": {"virtual_host": "shop"},
        }
    }


def header(action: str) -> dict[str, object]:
    """Return a change of a header, in protobuf's JSON."""
    return {"header": {"key": "k", "value": "v", "rawValue": "AP8="}, "appendAction": action}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            {
                "status": {"code": 7, "message": "no"},
                "deniedResponse": {
                    "status": {"code": "Forbidden"},
                    "headers": [header("OVERWRITE_IF_EXISTS"), header("ADD_IF_ABSENT")],
                    "body": "{}",
                },
                "dynamicMetadata": {"decision": "deny", "scope": ["a", "b"], "expires_at": None},
            },
            id="deny",
        ),
        pytest.param(
            {
                "status": {},
                "okResponse": {
                    "headers": [header("OVERWRITE_IF_EXISTS_OR_ADD")],
                    "headersToRemove": ["x-auth-subject", "x_auth_subject"],
                },
                "dynamicMetadata": {"decision": "allow", "expires_at": 1.5},
            },
            id="allow",
        ),
    ],
)
def test_check_response_of_ours_is_read_by_the_real_api(answer: dict[str, object]) -> None:
    wire = ParseDict(answer, CheckResponse()).SerializeToString()

    assert json.loads(ask_the_real_api("decode", f"{AUTH}.CheckResponse", given=wire)) == answer
