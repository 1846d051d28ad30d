"""What passes between the supervisor, its fork servers and their children. Standard library only.

    supervisor ──socket──▶ server     RUN (with one end of a fresh socket pair), KILL, DEMOTE
    server     ──socket──▶ supervisor run, its process, wait status; or RUNS instead of one, the answer to DEMOTE
    supervisor ──pair────▶ child      the program and the text of its argument list
    child      ──pair────▶ supervisor one JSON document, see `Reply`; nothing but its length is trusted

The server reads neither what a child writes nor what it runs, so that no program can reach it, nor see another's text in
the memory that it inherits.
"""

import json
import socket
from dataclasses import asdict, dataclass
from struct import Struct
from typing import Literal, cast, get_args

RUN, KILL, DEMOTE = 1, 2, 3
REQUEST = Struct("<BxxxxxxxQ")  # operation, run
REPORT = Struct("<Qii")  # run, its process, wait status or one of the two below
MAX_TEXT_BYTES = 100_000  # of a program with its argument list: what a socket holds without anybody reading
NOT_RUN, RUNS = -1, -2  # wait statuses that the kernel never gives: the server could not fork; the run goes on
LENGTH = Struct("<I")
RESULT_FD = 3

Told = Literal["ok", "error", "memory", "forbidden", "too_large_output"]
TOLD = get_args(Told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is told once, at its start. `modules`: what its programs may import; there is nothing else to import."""

    modules: tuple[str, ...]
    filter_hex: str  # compiled seccomp filter, as the kernel takes it
    clock_offset_s: float
    scatter: bool  # whether what its programs allocate lies elsewhere in each run
    timeout_s: float
    memory_bytes: int
    output_bytes: int

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Settings":
        values = json.loads(data)
        return cls(**values | {"modules": tuple(values["modules"])})


@dataclass(frozen=True, slots=True)
class Reply:
    """What a child says of its run: `value` in the notation of `encoding`, with the status ok; else a reason and a detail."""

    status: Told
    value: object = None
    reason: str = ""
    detail: str = ""

    def to_bytes(self) -> bytes:
        return json.dumps([self.status, self.value, self.reason, self.detail]).encode()

    @staticmethod
    def of_value(encoded: str) -> bytes:
        """The reply of a run that ended well, from the text that `encoding.Encoder` made of the value."""
        return f'["ok",{encoded},"",""]'.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Reply | None":
        """None for anything that is not exactly one reply; the text may come from a hostile program."""
        try:
            parts = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(parts, list) or len(parts) != 4 or parts[0] not in TOLD:
            return None
        status, value, reason, detail = parts
        if not isinstance(reason, str) or not isinstance(detail, str):
            return None
        return cls(cast(Told, status), value, reason[:40], detail[:200])


def text_bytes(program: str, arguments: str) -> bytes:
    """The two texts as a child reads them; lone surrogates are kept."""
    code, text = program.encode("utf-8", "surrogatepass"), arguments.encode("utf-8", "surrogatepass")
    return LENGTH.pack(len(code)) + code + text


def read_texts(data: bytes) -> tuple[str, str]:
    end = LENGTH.size + LENGTH.unpack_from(data)[0]
    return data[LENGTH.size : end].decode("utf-8", "surrogatepass"), data[end:].decode("utf-8", "surrogatepass")


def send_block(sock: socket.socket, data: bytes) -> None:
    sock.sendall(LENGTH.pack(len(data)) + data)


def receive_block(sock: socket.socket) -> bytes:
    return receive(sock, LENGTH.unpack(receive(sock, LENGTH.size))[0])


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; raises EOFError when the other side is gone."""
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
