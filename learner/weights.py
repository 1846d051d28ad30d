"""Weight publication: named tensors ↔ contiguous byte buckets with a manifest and a fingerprint.

The manifest says what the bytes are; the fingerprint is of the bytes themselves. Who receives a publication computes the
fingerprint anew and refuses to serve the version when it differs. Nothing here knows how the buckets travel: in one
process they are arrays, on a cluster they are references into the object store.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Bucket = npt.NDArray[np.uint8]
BUCKET_BYTES = 256 * 2**20


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
    """BLAKE2b-128 of the buckets' bytes, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for bucket in buckets:
        digest.update(bucket.data)
    return digest.hexdigest()


def pack(named_tensors: Iterable[tuple[str, torch.Tensor]], version: int, bucket_bytes: int = BUCKET_BYTES) -> Publication:
    """Copies tensors (any device and dtype) into buckets of at most `bucket_bytes`; a larger tensor gets its own."""
    specs: list[TensorSpec] = []
    parts: list[list[Bucket]] = [[]]
    filled = 0
    for name, tensor in named_tensors:
        data = tensor.detach().contiguous().cpu().view(-1).view(torch.uint8).numpy()
        if parts[-1] and filled + data.nbytes > bucket_bytes:
            parts.append([])
            filled = 0
        dtype = str(tensor.dtype).removeprefix("torch.")
        specs.append(
            TensorSpec(
                name=name, shape=tuple(tensor.shape), dtype=dtype, bucket=len(parts) - 1, offset=filled, num_bytes=data.nbytes
            )
        )
        parts[-1].append(data)
        filled += data.nbytes
    buckets = tuple(np.concatenate(part) if part else np.empty(0, np.uint8) for part in parts)
    manifest = WeightManifest(version=version, fingerprint=fingerprint(buckets), tensors=tuple(specs))
    return Publication(manifest=manifest, buckets=buckets)


def unpack(manifest: WeightManifest, buckets: Sequence[Bucket]) -> Iterator[tuple[str, torch.Tensor]]:
    """The named tensors, on CPU; each is a copy, so that the buckets' memory may be read-only or go away."""
    for spec in manifest.tensors:
        data = buckets[spec.bucket][spec.offset : spec.offset + spec.num_bytes].copy()
        yield spec.name, torch.from_numpy(data).view(getattr(torch, spec.dtype)).view(spec.shape)


def verify(manifest: WeightManifest, buckets: Sequence[Bucket], receiver: str) -> None:
    """Raises RuntimeError when the bytes that arrived are not those that were sent."""
    received = fingerprint(buckets)
    if received != manifest.fingerprint:
        raise RuntimeError(
            f"{receiver} received weights of version {manifest.version} with fingerprint {received}, "
            f"the learner published {manifest.fingerprint}; the version is not served"
        )
