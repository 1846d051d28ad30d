"""Trajectories → rows → micro-batches: every prompt, and every common beginning of its completions, is computed once.

Rollouts with the same prompt (and temperature) form one row: the prompt, then the prefix tree of their completions in
depth-first order. In that order the tokens that descend from token k are exactly those in [k, end_k), so the attention
mask of the whole row is one comparison, `k <= q < end_k`, and a token's position is its depth. The last token of a
completion predicts nothing and is no input. Exact: each token sees what it saw when it was sampled.

Invariant: each completion token of the batch is scored by exactly one micro-batch of exactly one rank, every rank has the
same number of micro-batches, and the plan is a pure function of the batch (no randomness, no clock).
Does not: touch torch, build masks, know losses.

Shape letters: N completion tokens of the batch, S samples (trajectories), B rows of a micro-batch, T padded tokens of a
row, U predicting positions, C longest completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from tasks.records import Role, Trajectory

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
# What one more forward and backward pass costs, in tokens: padding worth more than that is cut off into its own pass.
PASS_TOKENS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """The trainable part of a batch as flat arrays, in the order of the trajectories.

    targets_N, behaviour_N (sampler's logprobs), advantages_N, samples_N (index of the sample), lengths_S,
    proposals_S (of the proposer's role).
    """

    targets_N: IntArray
    behaviour_N: FloatArray
    advantages_N: FloatArray
    samples_N: IntArray
    lengths_S: IntArray
    proposals_S: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A prompt and some of its completions (indices of samples, in lexicographic order of their tokens)."""

    prompt_ids: tuple[int, ...]
    temperature: float
    samples: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All rows with their inputs flattened, row after row; `starts` has one more entry than there are rows.

    ids, positions and ends have one entry per input token (ends count from the start of the row).
    predictors_N: offset in its row of the input that predicts token N; rows_N: that row.
    """

    rows: tuple[Row, ...]
    starts: IntArray
    ids: IntArray
    positions: IntArray
    ends: IntArray
    predictors_N: IntArray
    rows_N: IntArray

    @property
    def lengths(self) -> IntArray:
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """One forward pass. `counts` is false for the padding that keeps ranks in step: its weight is zero.

    input_ids_BT, position_ids_BT, ends_BT: the rows; padding attends to padding only, and nothing else attends to it.
    predictors_U: flat index (row * T + offset) of each position whose logits are needed, once each, ascending;
    temperatures_U: of its rollouts. slots_N: which of the U predicts token N, ascending; targets_N: the token itself;
    tokens_N: its index in the TokenTable.
    """

    input_ids_BT: IntArray
    position_ids_BT: IntArray
    ends_BT: IntArray
    predictors_U: IntArray
    temperatures_U: FloatArray
    slots_N: IntArray
    targets_N: IntArray
    tokens_N: IntArray
    counts: bool


def trainable(batch: Sequence[Trajectory]) -> list[Trajectory]:
    """Those that carry gradient; refuses what cannot be trained on."""
    chosen = [item for item in batch if item.trainable and item.rollout.completion_ids]
    for item in chosen:
        rollout = item.rollout
        if len(rollout.logprobs) != len(rollout.completion_ids):
            raise ValueError(
                f"logprobs must be one per completion token, got {len(rollout.logprobs)} for "
                f"{len(rollout.completion_ids)} in {rollout.attempt_id}; ask the sampler for logprobs"
            )
        if rollout.temperature <= 0:
            raise ValueError(
                f"temperature must be above 0 to train on, got {rollout.temperature} in {rollout.attempt_id}; sample it"
            )
        if not rollout.prompt_ids:
            raise ValueError(f"prompt_ids must not be empty, got none in {rollout.attempt_id}; add a first token")
    return chosen


def flatten(batch: Sequence[Trajectory]) -> TokenTable:
    """The token table of trajectories that are all trainable."""
    lengths_S = np.array([len(item.rollout.completion_ids) for item in batch], np.int64)
    num_tokens = int(lengths_S.sum())
    return TokenTable(
        targets_N=np.fromiter(chain.from_iterable(item.rollout.completion_ids for item in batch), np.int64, num_tokens),
        behaviour_N=np.fromiter(chain.from_iterable(item.rollout.logprobs for item in batch), np.float32, num_tokens),
        advantages_N=np.repeat(np.array([item.advantage for item in batch], np.float32), lengths_S),
        samples_N=np.repeat(np.arange(len(batch)), lengths_S),
        lengths_S=lengths_S,
        proposals_S=np.array([item.rollout.role is Role.PROPOSE for item in batch], bool),
    )


def group(batch: Sequence[Trajectory], max_row_tokens: int) -> list[Row]:
    """One row per (prompt, temperature), in order of appearance; a group longer than `max_row_tokens` is split.

    A row holds at least one completion, however long. Neighbours in lexicographic order stay together, so that a split
    group keeps most of what its completions share.
    """
    members: dict[tuple[tuple[int, ...], float], list[int]] = {}
    for index, item in enumerate(batch):
        members.setdefault((item.rollout.prompt_ids, item.rollout.temperature), []).append(index)
    rows = []
    for (prompt_ids, temperature), samples in members.items():
        samples.sort(key=lambda index: batch[index].rollout.completion_ids)
        part: list[int] = []
        filled = len(prompt_ids)
        for index in samples:
            length = len(batch[index].rollout.completion_ids) - 1
            if part and filled + length > max_row_tokens:
                rows.append(Row(prompt_ids=prompt_ids, temperature=temperature, samples=tuple(part)))
                part, filled = [], len(prompt_ids)
            part.append(index)
            filled += length
        rows.append(Row(prompt_ids=prompt_ids, temperature=temperature, samples=tuple(part)))
    return rows


def lay_out(rows: Sequence[Row], table: TokenTable) -> Rows:
    """Prefix trees of all rows at once, on [S, C] matrices (samples in the order of the rows)."""
    samples_S = np.fromiter(chain.from_iterable(row.samples for row in rows), np.int64)
    row_S = np.repeat(np.arange(len(rows)), [len(row.samples) for row in rows])
    prompts = np.array([len(row.prompt_ids) for row in rows], np.int64)
    lengths_S = table.lengths_S[samples_S]
    first_token_S = (np.cumsum(table.lengths_S) - table.lengths_S)[samples_S]
    columns_C = np.arange(int(lengths_S.max()))
    real_SC = columns_C < lengths_S[:, None]
    tokens_SC = np.where(real_SC, first_token_S[:, None] + columns_C, 0)
    ids_SC = table.targets_N[tokens_SC]
    input_SC = columns_C < (lengths_S - 1)[:, None]  # the last token is no input
    shared_S = _shared_prefixes(ids_SC, input_SC, row_S)

    new_SC = input_SC & (columns_C >= shared_S[:, None])
    nodes_SC = np.where(new_SC, np.cumsum(new_SC).reshape(new_SC.shape) - 1, -1)
    nodes_SC = np.maximum.accumulate(nodes_SC, axis=0)  # a shared input is the latest node of its depth
    num_new_S = new_SC.sum(1)
    ends_SC = _subtree_ends(shared_S, num_new_S, len(columns_C))

    node_rows = np.repeat(row_S, num_new_S)
    row_nodes = np.bincount(node_rows, minlength=len(rows))
    starts = np.concatenate(([0], np.cumsum(prompts + row_nodes)))
    shift = prompts - (np.cumsum(row_nodes) - row_nodes)  # node number → offset in its row
    prompt_ids = np.fromiter(chain.from_iterable(row.prompt_ids for row in rows), np.int64, int(prompts.sum()))
    is_prompt = np.arange(starts[-1]) - np.repeat(starts[:-1], np.diff(starts)) < np.repeat(prompts, np.diff(starts))

    def spread(of_prompt: IntArray, of_nodes: IntArray) -> IntArray:
        flat = np.empty(int(starts[-1]), np.int64)
        flat[is_prompt], flat[~is_prompt] = of_prompt, of_nodes
        return flat

    depths_SC = np.broadcast_to(columns_C, new_SC.shape)
    prompt_positions = np.arange(len(prompt_ids)) - np.repeat(np.cumsum(prompts) - prompts, prompts)
    predictors_SC = np.empty_like(nodes_SC)
    predictors_SC[:, 0] = (prompts - 1)[row_S]
    predictors_SC[:, 1:] = nodes_SC[:, :-1] + shift[row_S][:, None]
    predictors_N = np.empty(len(table.targets_N), np.int64)
    predictors_N[tokens_SC[real_SC]] = predictors_SC[real_SC]
    rows_N = np.empty(len(table.targets_N), np.int64)
    rows_N[tokens_SC[real_SC]] = np.repeat(row_S, lengths_S)
    return Rows(
        rows=tuple(rows),
        starts=starts,
        ids=spread(prompt_ids, ids_SC[new_SC]),
        positions=spread(prompt_positions, depths_SC[new_SC] + prompts[node_rows]),
        ends=spread(np.repeat(np.diff(starts), prompts), ends_SC[new_SC] + shift[node_rows]),
        predictors_N=predictors_N,
        rows_N=rows_N,
    )


def _shared_prefixes(ids_SC: IntArray, input_SC: npt.NDArray[np.bool_], row_S: IntArray) -> IntArray:
    """How many inputs each sample shares with the one before it in its row."""
    shared_S = np.zeros(len(row_S), np.int64)
    equal_SC = (ids_SC[1:] == ids_SC[:-1]) & input_SC[1:] & input_SC[:-1] & (row_S[1:] == row_S[:-1])[:, None]
    shared_S[1:] = np.logical_and.accumulate(equal_SC, axis=1).sum(1)
    return shared_S


def _subtree_ends(shared_S: IntArray, num_new_S: IntArray, num_columns: int) -> IntArray:
    """For a node that sample s brings in at depth c: the number of the first node after its subtree.

    That is where the next sample that shares at most c inputs with its predecessor begins.
    """
    begins_S = np.cumsum(num_new_S) - num_new_S
    beyond = int(num_new_S.sum())
    leaves_SC = np.where(shared_S[:, None] <= np.arange(num_columns), begins_S[:, None], beyond)
    next_SC = np.full_like(leaves_SC, beyond)
    next_SC[:-1] = leaves_SC[1:]
    return np.minimum.accumulate(next_SC[::-1], axis=0)[::-1]


def shares(rows: Rows, chosen: IntArray, micro_batch_tokens: int, world_size: int) -> list[list[tuple[IntArray, bool]]]:
    """Per rank, its micro-batches of the chosen rows, as (row numbers, counts).

    Rows are sorted by length and cut into runs of similar lengths; each run is dealt round-robin to the ranks and split
    until no share exceeds `micro_batch_tokens` padded tokens (a single longer row is its own micro-batch). A rank
    without a row for a micro-batch gets the shortest row of the run with weight zero, so that collectives meet.
    """
    lengths = rows.lengths
    order = chosen[np.argsort(-lengths[chosen], kind="stable")]
    plans: list[list[tuple[IntArray, bool]]] = [[] for _ in range(world_size)]
    for run in np.split(order, similar_lengths(lengths[order])):
        most = -(-len(run) // world_size)
        fit = max(1, micro_batch_tokens // int(lengths[run[0]]))
        num = -(-most // fit)
        for rank, plan in enumerate(plans):
            parts = np.array_split(run[rank::world_size], num)
            plan += [(part, True) if len(part) else (run[-1:], False) for part in parts]
    return plans


def similar_lengths(descending: IntArray) -> list[int]:
    """Where to cut sorted lengths so that padding plus the cost of passes is least.

    cost = Σ_runs (longest · rows + PASS_TOKENS): dynamic programming over the distinct lengths.
    """
    values, counts = np.unique(-descending, return_counts=True)
    edges = np.concatenate(([0], np.cumsum(counts)))
    best = np.zeros(len(edges))
    come_from = np.zeros(len(edges), np.int64)
    for end in range(1, len(edges)):
        costs = best[:end] - values[:end] * (edges[end] - edges[:end]) + PASS_TOKENS
        come_from[end] = int(costs.argmin())
        best[end] = costs[come_from[end]]
    cuts = []
    end = int(come_from[-1])
    while end > 0:
        cuts.append(int(edges[end]))
        end = int(come_from[end])
    return cuts[::-1]


def micro_batch(rows: Rows, chosen: IntArray, table: TokenTable, counts: bool) -> MicroBatch:
    """Pads the chosen rows to their longest and finds where each of their tokens is predicted."""
    lengths = rows.lengths[chosen]
    width = int(lengths.max())
    filled_BT = np.arange(width) < lengths[:, None]
    source = (rows.starts[chosen][:, None] + np.arange(width))[filled_BT]
    padded = [np.zeros(filled_BT.shape, np.int64), np.zeros(filled_BT.shape, np.int64), np.full(filled_BT.shape, width)]
    for target_BT, values in zip(padded, (rows.ids, rows.positions, rows.ends), strict=True):
        target_BT[filled_BT] = values[source]

    place = np.full(len(rows.rows), -1)
    place[chosen] = np.arange(len(chosen))
    place_N = place[rows.rows_N]
    tokens_N = np.flatnonzero(place_N >= 0)
    predictors_N = place_N[tokens_N] * width + rows.predictors_N[tokens_N]
    order = np.argsort(predictors_N, kind="stable")
    tokens_N = tokens_N[order]
    predictors_U, slots_N = np.unique(predictors_N[order], return_inverse=True)
    temperatures = np.array([rows.rows[index].temperature for index in chosen], np.float32)
    return MicroBatch(
        input_ids_BT=padded[0],
        position_ids_BT=padded[1],
        ends_BT=padded[2],
        predictors_U=predictors_U,
        temperatures_U=temperatures[predictors_U // width],
        slots_N=slots_N,
        targets_N=table.targets_N[tokens_N],
        tokens_N=tokens_N,
        counts=counts,
    )
