"""Weight publication: named tensors ↔ contiguous byte buckets with a manifest and a fingerprint.

The manifest says what the bytes are; the fingerprint is of the bytes themselves. Who receives a publication computes the
fingerprint anew and refuses to serve the version when it differs. Nothing here knows how the buckets travel: in one
process they are arrays, on a cluster they are references into the object store.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xxhash

Bucket = npt.NDArray[np.uint8]
BUCKET_BYTES = 256 * 2**20
ALIGNMENT = 64  # of a tensor's first byte, so that it can be read where it lies, whatever its dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """Where one tensor lies: `num_bytes` bytes at `offset` in bucket number `bucket`."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # torch's name without the prefix: "float32", "bfloat16"
    bucket: int
    offset: int
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightManifest:
    version: int
    fingerprint: str
    tensors: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One policy version on its way to the generators. `buckets`: `Bucket` arrays, or object references to them."""

    manifest: WeightManifest
    buckets: tuple[Any, ...]


def fingerprint(buckets: Iterable[Bucket]) -> str:
    """XXH3-128 of the buckets' bytes, in order: it finds any accident, at the speed of memory. It is no signature."""
    digest = xxhash.xxh3_128()
    for bucket in buckets:
        digest.update(bucket.data)
    return digest.hexdigest()


def pack(
    named_tensors: Iterable[tuple[str, torch.Tensor]],
    version: int,
    bucket_bytes: int = BUCKET_BYTES,
    rooms: list[Bucket] | None = None,
) -> Publication:
    """Copies tensors (any device, any dtype) as they come into buckets of at most `bucket_bytes`; a larger one gets its own.

    `rooms`: the memory of an earlier publication that nobody reads any more, taken again, for fresh memory is cleared page by
    page when it is first written; what is missing is added to it.
    """
    rooms = [] if rooms is None else rooms
    specs: list[TensorSpec] = []
    filled: list[int] = []
    digest = xxhash.xxh3_128()
    for name, tensor in named_tensors:
        end = filled[-1] if filled else 0
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        if not filled or offset + tensor.nbytes > max(bucket_bytes, end):
            filled.append(0)
            end = offset = 0
            _make_room(rooms, len(filled) - 1, max(bucket_bytes, tensor.nbytes))
        dtype, shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
        spec = TensorSpec(name=name, shape=shape, dtype=dtype, bucket=len(filled) - 1, offset=offset, num_bytes=tensor.nbytes)
        filled[-1] = offset + tensor.nbytes
        rooms[spec.bucket][end:offset] = 0
        _tensor_at(spec, rooms).copy_(tensor.detach())
        digest.update(rooms[spec.bucket][end : filled[-1]].data)  # while it is in the cache
        specs.append(spec)
    buckets = tuple(room[:size] for room, size in zip(rooms, filled, strict=False))
    manifest = WeightManifest(version=version, fingerprint=digest.hexdigest(), tensors=tuple(specs))
    return Publication(manifest=manifest, buckets=buckets)


def _make_room(rooms: list[Bucket], number: int, num_bytes: int) -> None:
    """So that rooms[number] holds at least so much. Memory that is not written yet costs nothing."""
    if number == len(rooms):
        rooms.append(np.empty(num_bytes, np.uint8))
    elif rooms[number].nbytes < num_bytes:
        rooms[number] = np.empty(num_bytes, np.uint8)


def unpack(manifest: WeightManifest, buckets: Sequence[Bucket]) -> Iterator[tuple[str, torch.Tensor]]:
    """The named tensors, on CPU, where they lie in the buckets: to be copied from, never to be written or kept."""
    for spec in manifest.tensors:
        yield spec.name, _tensor_at(spec, buckets)


def _tensor_at(spec: TensorSpec, buckets: Sequence[Bucket]) -> torch.Tensor:
    data = buckets[spec.bucket][spec.offset : spec.offset + spec.num_bytes]
    with warnings.catch_warnings():  # torch knows no tensors that are for reading only; the object store's memory is
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(data).view(getattr(torch, spec.dtype)).view(spec.shape)


def verify(manifest: WeightManifest, buckets: Sequence[Bucket], receiver: str) -> None:
    """Raises RuntimeError when the bytes that arrived are not those that were sent."""
    received = fingerprint(buckets)
    if received != manifest.fingerprint:
        raise RuntimeError(
            f"{receiver} received weights of version {manifest.version} with fingerprint {received}, "
            f"the learner published {manifest.fingerprint}; the version is not served"
        )
