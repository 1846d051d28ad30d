"""Rows, prefix trees and shares: what every token sees, and that none is lost or doubled."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner import packing
from learner.packing import MicroBatch, Rows, TokenTable
from tasks.records import Trajectory

Make = Callable[..., Trajectory]
MakeBatch = Callable[..., list[Trajectory]]


def lay_out(batch: list[Trajectory], max_row_tokens: int = 10_000) -> tuple[Rows, TokenTable]:
    table = packing.flatten(batch)
    return packing.lay_out(packing.group(batch, max_row_tokens), table), table


def plan(rows: Rows, table: TokenTable, micro_batch_tokens: int, world_size: int) -> list[list[MicroBatch]]:
    shares = packing.shares(rows, np.arange(len(rows.rows)), micro_batch_tokens, world_size)
    return [[packing.micro_batch(rows, chosen, table, counts) for chosen, counts in share] for share in shares]


def context(item: MicroBatch, slot: int) -> list[int]:
    """The tokens that a predicting position sees, in the order of their positions."""
    width = item.input_ids_BT.shape[1]
    row, offset = divmod(int(item.predictors_U[slot]), width)
    seen = [k for k in range(offset + 1) if offset < item.ends_BT[row, k]]
    assert item.position_ids_BT[row, seen].tolist() == list(range(len(seen)))
    return [int(token) for token in item.input_ids_BT[row, seen]]


def test_a_shared_prompt_is_laid_out_once_and_shared_beginnings_too(make_trajectory: Make) -> None:
    batch = [make_trajectory([1, 2], completion) for completion in ([5, 6, 7], [5, 6, 8, 9], [4], [5, 6, 7])]
    rows, _ = lay_out(batch)
    # Prompt 1 2, then the tree of inputs (last tokens dropped): 5, 6, then 8. [4] needs the prompt only.
    assert rows.ids.tolist() == [1, 2, 5, 6, 8]
    assert rows.positions.tolist() == [0, 1, 2, 3, 4]
    assert rows.ends.tolist() == [5, 5, 5, 5, 5]
    assert rows.predictors_N.tolist() == [1, 2, 3, 1, 2, 3, 4, 1, 1, 2, 3]


def test_branches_do_not_see_each_other(make_trajectory: Make) -> None:
    rows, _ = lay_out([make_trajectory([1], [3, 4, 9]), make_trajectory([1], [3, 5, 9]), make_trajectory([1], [6, 4, 9])])
    assert rows.ids.tolist() == [1, 3, 4, 5, 6, 4]
    assert rows.ends.tolist() == [6, 4, 3, 4, 6, 6]
    assert rows.positions.tolist() == [0, 1, 2, 2, 1, 2]


shapes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "num_prompts": st.integers(1, 6),
        "group": st.integers(1, 6),
        "vocabulary": st.sampled_from([2, 3, 50]),
        "longest": st.integers(1, 7),
    }
)


@settings(max_examples=40, deadline=None)
@given(shapes, st.sampled_from([1, 8, 20, 10_000]), st.sampled_from([1, 16, 64, 10_000]), st.integers(1, 3))
def test_every_token_is_scored_once_and_sees_exactly_its_own_past(
    make_batch: MakeBatch, shape: dict[str, int], max_row_tokens: int, micro_batch_tokens: int, world_size: int
) -> None:
    batch = make_batch(**shape)
    rows, table = lay_out(batch, max_row_tokens)
    past = [
        list(item.rollout.prompt_ids) + list(item.rollout.completion_ids[:index])
        for item in batch
        for index in range(len(item.rollout.completion_ids))
    ]
    shares = plan(rows, table, micro_batch_tokens, world_size)
    assert len({len(share) for share in shares}) == 1
    scored: list[int] = []
    for item in (item for share in shares for item in share if item.counts):
        assert item.input_ids_BT.size <= max(micro_batch_tokens, item.input_ids_BT.shape[1])
        assert np.all(np.diff(item.predictors_U) > 0)
        assert np.all(np.diff(item.slots_N) >= 0)
        for token, slot, target in zip(item.tokens_N, item.slots_N, item.targets_N, strict=True):
            assert context(item, slot) == past[token]
            assert target == table.targets_N[token]
        scored += item.tokens_N.tolist()
    assert sorted(scored) == list(range(len(table.targets_N)))


@given(shapes, st.integers(8, 40))
def test_a_split_group_respects_the_row_limit_unless_one_completion_exceeds_it(
    make_batch: MakeBatch, shape: dict[str, int], max_row_tokens: int
) -> None:
    rows, _ = lay_out(make_batch(**shape), max_row_tokens)
    for row, length in zip(rows.rows, rows.lengths, strict=True):
        assert length <= max_row_tokens or len(row.samples) == 1


def test_the_same_prompt_at_two_temperatures_makes_two_rows(make_trajectory: Make) -> None:
    batch = [make_trajectory([1], [2], temperature=1.0), make_trajectory([1], [2], temperature=0.7)]
    assert len(packing.group(batch, 100)) == 2


def test_lengths_are_cut_where_padding_costs_more_than_a_pass() -> None:
    same = np.full(40, 50)
    assert packing.similar_lengths(same) == []
    assert packing.similar_lengths(np.concatenate((np.full(4, 200), same))) == [4]  # 40 · 150 padding tokens against one pass
    assert packing.similar_lengths(np.array([52, 51, 50])) == []


def test_what_cannot_be_trained_on_is_left_out_or_refused(make_trajectory: Make) -> None:
    chosen = packing.trainable(
        [make_trajectory([1], []), make_trajectory([1], [2], trainable=False), make_trajectory([1], [2])]
    )
    assert len(chosen) == 1
    with pytest.raises(ValueError, match="logprobs must be one per completion token, got 1 for 2"):
        packing.trainable([make_trajectory([1], [2, 3], logprobs=[0.0])])
    with pytest.raises(ValueError, match="temperature must be above 0"):
        packing.trainable([make_trajectory([1], [2], temperature=0.0)])
