"""Decoding by itself: how tokens are drawn, and that a chunk's make-up changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from actors.decoding import Row, decode, drawn
from tasks.records import Kind, Request, Role

STOP = frozenset({2})


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


def row(prompt: tuple[int, ...], seed: int, temperature: float = 1.0, max_tokens: int = 12) -> Row:
    request = Request(
        task_id=f"t{seed}", attempt=0, step=0, kind=Kind.DEDUCTION, role=Role.SOLVE, prompt="", seed=seed,
        temperature=temperature, max_tokens=max_tokens,
    )  # fmt: skip
    return Row.begun(request, prompt)


def decoded(model: Any, rows: list[Row]) -> list[list[int]]:
    with torch.inference_mode():
        decode(model, rows, STOP)
    return [row.completion_ids for row in rows]


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=12), st.floats(0.1, 4.0), st.floats(0, 1, exclude_max=True))
def test_a_draw_is_the_token_in_whose_share_of_the_unit_interval_the_number_falls(
    logits: list[float], temperature: float, uniform: float
) -> None:
    logits_BV = torch.tensor([logits], dtype=torch.float32)
    token_B, logprob_B = drawn(logits_BV, torch.tensor([temperature]), torch.tensor([uniform], dtype=torch.float64))
    shares_V = (logits_BV[0] / torch.tensor(temperature)).softmax(-1).double()
    ends_V = shares_V.cumsum(-1)
    token = int(token_B)
    assert ends_V[token] - shares_V[token] <= uniform + 1e-5
    assert uniform <= ends_V[token] + 1e-5
    assert float(logprob_B) == pytest.approx(float((logits_BV[0] / temperature).log_softmax(-1)[token]), abs=1e-3)


def test_draws_come_as_often_as_the_softmax_says() -> None:
    logits_BV = torch.tensor([[0.0, 1.0, -1.0, 2.0]]).repeat(20_000, 1)
    uniform_B = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    token_B, _ = drawn(logits_BV, torch.full((20_000,), 0.7), uniform_B)
    found_V = torch.bincount(token_B, minlength=4) / 20_000
    assert torch.allclose(found_V, (logits_BV[0] / 0.7).softmax(-1), atol=0.012)


def test_temperature_zero_takes_the_likeliest_token_and_its_logprob_at_temperature_one() -> None:
    logits_BV = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    token_B, logprob_B = drawn(logits_BV, torch.tensor([0.0, 0.0]), torch.tensor([0.99, 0.99], dtype=torch.float64))
    assert token_B.tolist() == [1, 0]
    assert torch.allclose(logprob_B, logits_BV.log_softmax(-1)[[0, 1], [1, 0]])


def test_rows_that_share_a_prompt_or_outlive_others_get_what_they_get_alone(model: Any) -> None:
    prompts = [(1, 5, 6, 7), (1, 5), (1, 5, 6, 7), (1, 9, 8, 7, 6, 5), (1, 5)]
    rows = [row(prompt, seed, temperature=0.9, max_tokens=3 + 9 * (seed % 2)) for seed, prompt in enumerate(prompts * 3)]
    alone = [decoded(model, [row(r.prompt_ids, r.request.seed, 0.9, r.request.max_tokens)])[0] for r in rows]
    assert decoded(model, rows) == alone
    assert len({len(ids) for ids in alone}) > 1  # some left before others


def test_a_row_ends_with_the_end_token_or_at_its_length_and_takes_nothing_more() -> None:
    ended = row((1,), 0, max_tokens=2)
    for token in (7, 2, 7):
        ended.take(token, -0.5, STOP)
    cut = row((1,), 0, max_tokens=2)
    for token in (7, 7, 7):
        cut.take(token, -0.5, STOP)
    assert (ended.completion_ids, ended.finish_reason) == ([7, 2], "stop")
    assert (cut.completion_ids, cut.finish_reason) == ([7, 7], "length")
