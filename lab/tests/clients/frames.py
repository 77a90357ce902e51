"""The binary frame of SSM's message channels, as amazon-ssm-agent and session-manager-plugin lay it out.

Written from what is seen on the wire, not from the lab's own types: it is the yardstick for them.
"""

import hashlib
import struct
import time
import uuid
from dataclasses import dataclass, field

# Up to the payload length, which is itself not counted: that is the header length on the wire.
HEADER = struct.Struct(">I32sIQqQ8s8s32sI")
LENGTH = struct.Struct(">I")
HEADER_LENGTH = 116
assert HEADER.size == HEADER_LENGTH

OUTPUT, SIZE, HANDSHAKE_REQUEST, HANDSHAKE_RESPONSE, HANDSHAKE_COMPLETE, FLAG = 1, 3, 5, 6, 7, 10
FLAG_TERMINATE = struct.pack(">I", 2)


def now_ms():
    return int(time.time() * 1000)


@dataclass
class Frame:
    kind: str
    payload: bytes = b""
    sequence: int = 0
    payload_type: int = 0
    flags: int = 0
    schema: int = 1
    created: int = field(default_factory=now_ms)
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    def encode(self):
        high, low = self.id.bytes[:8], self.id.bytes[8:]
        header = HEADER.pack(
            HEADER_LENGTH,
            self.kind.encode("ascii").ljust(32, b" "),
            self.schema,
            self.created,
            self.sequence,
            self.flags,
            low,
            high,
            hashlib.sha256(self.payload).digest(),
            self.payload_type,
        )
        return header + LENGTH.pack(len(self.payload)) + self.payload


def decode(data):
    """The frame in `data`; asserts everything that a real peer relies on."""
    assert isinstance(data, bytes), f"a frame is a binary message, not {data!r}"
    length, kind, schema, created, sequence, flags, low, high, digest, payload_type = HEADER.unpack_from(data)
    assert length == HEADER_LENGTH
    (payload_length,) = LENGTH.unpack_from(data, HEADER_LENGTH)
    payload = data[HEADER_LENGTH + LENGTH.size :]
    assert len(payload) == payload_length
    assert payload_length == 0 or hashlib.sha256(payload).digest() == digest
    assert created != 0, "the agent refuses a message without a creation date"
    name = kind.decode("ascii").strip(" \0")
    assert name
    return Frame(name, payload, sequence, payload_type, flags, schema, created, uuid.UUID(bytes=high + low))
