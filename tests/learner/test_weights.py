"""Publications: what is packed comes out again, and no byte that differs is served."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.weights import ALIGNMENT, Bucket, fingerprint, pack, unpack, verify

DTYPES = [torch.float32, torch.bfloat16, torch.float64, torch.int8, torch.bool]
shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
tensors = st.lists(st.tuples(shapes, st.sampled_from(DTYPES)), max_size=12)


def named(kinds: list[tuple[tuple[int, ...], torch.dtype]]) -> list[tuple[str, torch.Tensor]]:
    return [(f"layer.{number}", (torch.rand(shape) * 100).to(dtype)) for number, (shape, dtype) in enumerate(kinds)]


@settings(deadline=None)
@given(kinds=tensors, bucket_bytes=st.integers(1, 400))
def test_what_is_packed_comes_out_again_whatever_the_dtypes_and_the_buckets(
    kinds: list[tuple[tuple[int, ...], torch.dtype]], bucket_bytes: int
) -> None:
    wanted = named(kinds)
    publication = pack(iter(wanted), 3, bucket_bytes)
    for bucket in publication.buckets:
        bucket.flags.writeable = False  # as in the object store
    found = list(unpack(publication.manifest, publication.buckets))
    assert [name for name, _ in found] == [name for name, _ in wanted]
    assert all(torch.equal(one, other) and one.dtype == other.dtype for (_, one), (_, other) in zip(found, wanted, strict=True))
    largest = max((tensor.nbytes for _, tensor in wanted), default=0)
    assert all(bucket.nbytes <= max(bucket_bytes, largest) for bucket in publication.buckets)
    assert all(spec.offset % ALIGNMENT == 0 for spec in publication.manifest.tensors)
    verify(publication.manifest, publication.buckets, "azr-generator-0")


def test_a_tensor_is_copied_when_it_comes_because_it_may_be_gone_with_the_next() -> None:
    shared = torch.zeros(4)
    publication = pack(((f"layer.{number}", shared.fill_(number)) for number in range(3)), 0)
    assert [tensor[0].item() for _, tensor in unpack(publication.manifest, publication.buckets)] == [0.0, 1.0, 2.0]


@given(first=tensors, second=tensors, first_bytes=st.integers(1, 400), second_bytes=st.integers(1, 400))
def test_a_publication_in_used_memory_is_the_one_in_fresh_memory(
    first: list[tuple[tuple[int, ...], torch.dtype]],
    second: list[tuple[tuple[int, ...], torch.dtype]],
    first_bytes: int,
    second_bytes: int,
) -> None:
    rooms: list[Bucket] = []
    pack(named(first), 0, first_bytes, rooms)
    for room in rooms:
        room[:] = 255
    wanted = named(second)
    fresh, used = pack(wanted, 1, second_bytes), pack(wanted, 1, second_bytes, rooms)
    assert used.manifest == fresh.manifest
    assert fingerprint(used.buckets) == used.manifest.fingerprint
    assert all(np.array_equal(one, other) for one, other in zip(used.buckets, fresh.buckets, strict=True))


def test_a_second_publication_takes_the_memory_of_the_first() -> None:
    rooms: list[Bucket] = []
    first = pack([("a", torch.zeros(4)), ("b", torch.ones(4))], 0, 16, rooms)
    second = pack([("a", torch.ones(4)), ("b", torch.zeros(4))], 1, 16, rooms)
    assert all(np.shares_memory(one, other) for one, other in zip(first.buckets, second.buckets, strict=True))


def test_a_strided_tensor_keeps_its_values() -> None:
    turned = torch.arange(6.0).view(2, 3).T
    publication = pack([("turned", turned)], 0)
    assert torch.equal(dict(unpack(publication.manifest, publication.buckets))["turned"], turned)


@settings(deadline=None, max_examples=50)
@given(place=st.integers(0, 63), bit=st.integers(0, 7), bucket_bytes=st.sampled_from([16, 1000]))
def test_one_bit_that_differs_is_refused_and_both_fingerprints_are_named(place: int, bit: int, bucket_bytes: int) -> None:
    publication = pack([(name, torch.ones(4)) for name in "abcd"], 7, bucket_bytes)
    spec = publication.manifest.tensors[place // 16]
    publication.buckets[spec.bucket][spec.offset + place % 16] ^= 1 << bit
    with pytest.raises(
        RuntimeError, match=rf"azr-generator-1 received weights of version 7 .*{publication.manifest.fingerprint}"
    ):
        verify(publication.manifest, publication.buckets, "azr-generator-1")


def test_buckets_in_another_order_are_refused() -> None:
    publication = pack([("a", torch.zeros(4)), ("b", torch.ones(4))], 0, 16)
    swapped = replace(publication, buckets=publication.buckets[::-1])
    with pytest.raises(RuntimeError, match="is not served"):
        verify(swapped.manifest, swapped.buckets, "azr-generator-0")


def test_a_fingerprint_is_of_the_bytes_not_of_how_they_are_cut() -> None:
    whole = np.arange(200, dtype=np.uint8)
    assert fingerprint([whole]) == fingerprint([whole[:77], whole[77:]])
    assert len(fingerprint([])) == 32
