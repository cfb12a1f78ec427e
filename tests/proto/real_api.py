"""The real API, as the distribution xds-protos has it, for test_wire_compatible to ask.

A program and not a module: its messages have the same full names as ours, and protobuf refuses
to hold both in one process.

    real_api.py describe FILE...    names of .proto files to a FileDescriptorSet
    real_api.py encode MESSAGE      JSON to the message's wire format
    real_api.py decode MESSAGE      the message's wire format to JSON
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message


def load() -> None:
    """Load the descriptors of the real API into the default pool.

    Others install packages with the names of its own, `envoy` and `opentelemetry` among them, so it
    is in a directory that nothing else looks into. Its packages are made here: no __init__.py is
    run, and submodules are looked for there and nowhere else. But for `google`, which protobuf has.
    """
    for place in (Path(sys.prefix) / "xds-protos").iterdir():
        if (place / "__init__.py").exists() and place.name != "google":
            package = sys.modules[place.name] = ModuleType(place.name)
            package.__path__ = [str(place)]
    import_module("envoy.service.auth.v3.external_auth_pb2")


def message_class(name: str) -> type[Message]:
    """Return the class of the message with this full name."""
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def describe(names: list[str]) -> bytes:
    """Return the descriptors of the .proto files with these names."""
    found = FileDescriptorSet()
    for name in names:
        descriptor_pool.Default().FindFileByName(name).CopyToProto(found.file.add())
    return found.SerializeToString()


def answer(question: str, names: list[str]) -> bytes:
    """Answer one question; what it is about comes from standard input."""
    match question, names:
        case "describe", _:
            return describe(names)
        case "encode", [name]:
            message = json_format.Parse(sys.stdin.read(), message_class(name)())
            return message.SerializeToString()
        case "decode", [name]:
            message = message_class(name).FromString(sys.stdin.buffer.read())
            return json_format.MessageToJson(message).encode()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    load()
    sys.stdout.buffer.write(answer(sys.argv[1], sys.argv[2:]))
