"""Both engines against transformers' own forward pass, and against each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actors.transformers_engine import TransformersEngine
from actors.vllm_engine import VllmEngine
from configs.errors import UserError
from configs.system_sections import GeneratorsSection
from learner.weights import Publication, pack
from tasks.records import Request, Rollout

Engine = VllmEngine | TransformersEngine
MakeRequests = Callable[..., list[Request]]
Publish = Callable[[int], Publication]


@pytest.fixture(scope="module", params=["transformers", pytest.param("vllm", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, tiny_model: Path, generators: GeneratorsSection) -> Iterator[Engine]:
    if request.param == "vllm":
        yield request.getfixturevalue("vllm_engine")
    else:
        yield TransformersEngine(tiny_model, generators, sampler_id="transformers-test")


def worst_logprob_difference(model: Any, rollouts: Sequence[Rollout]) -> float:
    """Largest |behaviour logprob - log softmax(logits / T)| of a plain forward pass."""
    worst = 0.0
    for rollout in rollouts:
        with torch.no_grad():
            logits_TV = model(torch.tensor([rollout.prompt_ids + rollout.completion_ids])).logits[0].float()
        logprobs_TV = (logits_TV / (rollout.temperature or 1.0)).log_softmax(-1)
        for i, (token, logprob) in enumerate(zip(rollout.completion_ids, rollout.logprobs, strict=True)):
            worst = max(worst, abs(float(logprobs_TV[len(rollout.prompt_ids) - 1 + i, token]) - logprob))
    return worst


def greedy(model: Any, rollout: Rollout, max_tokens: int) -> tuple[int, ...]:
    ids = torch.tensor([rollout.prompt_ids])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens, do_sample=False)
    return tuple(out[0, ids.shape[1] :].tolist())


def sampled(rollouts: Sequence[Rollout]) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    return [(rollout.completion_ids, rollout.logprobs) for rollout in rollouts]


@pytest.mark.slow
def test_after_each_load_greedy_outputs_equal_those_of_transformers(
    engine: Engine, publish: Publish, make_model: Callable[[int], Any], make_requests: MakeRequests
) -> None:
    for version in (11, 12):
        engine.load(publish(version))
        rollouts = engine.generate(make_requests(32, temperature=0.0))
        model = make_model(version)
        assert [rollout.completion_ids for rollout in rollouts[::4]] == [greedy(model, r, 12) for r in rollouts[::4]]
        assert worst_logprob_difference(model, rollouts) <= 1e-4


@pytest.mark.slow
def test_sampled_logprobs_are_of_the_softmax_at_the_temperature(
    engine: Engine, publish: Publish, make_model: Callable[[int], Any], make_requests: MakeRequests
) -> None:
    engine.load(publish(13))
    rollouts = engine.generate(make_requests(16, temperature=0.7) + make_requests(8, temperature=0.0))
    assert worst_logprob_difference(make_model(13), rollouts) <= 1e-4


def test_rollouts_say_what_was_asked_and_who_answered_with_which_weights(
    engine: Engine, publish: Publish, make_requests: MakeRequests
) -> None:
    publication = publish(14)
    engine.load(publication)
    requests = make_requests(8)
    for request, rollout in zip(requests, engine.generate(requests), strict=True):
        assert (rollout.attempt_id, rollout.seed, rollout.temperature) == (
            request.attempt_id,
            request.seed,
            request.temperature,
        )
        assert (rollout.policy_version, rollout.weight_fingerprint) == (14, publication.manifest.fingerprint)
        assert rollout.sampler_id.endswith("-test")


def test_the_end_token_is_in_the_ids_and_not_in_the_text(engine: Engine, publish: Publish, make_requests: MakeRequests) -> None:
    engine.load(publish(11))
    rollouts = engine.generate(make_requests(32, max_tokens=100))
    stopped = [rollout for rollout in rollouts if rollout.finish_reason == "stop"]
    assert stopped
    assert all(rollout.completion_ids[-1] == 2 and 2 not in rollout.completion_ids[:-1] for rollout in stopped)
    assert all("<eos>" not in rollout.text for rollout in rollouts)
    assert all(len(rollout.completion_ids) == 100 for rollout in rollouts if rollout.truncated)


def test_requests_with_their_own_seeds_do_not_depend_on_each_other(
    engine: Engine, publish: Publish, make_requests: MakeRequests
) -> None:
    engine.load(publish(15))
    requests = make_requests(24)
    ids = [rollout.completion_ids for rollout in engine.generate(requests)]
    assert ids == [rollout.completion_ids for rollout in engine.generate(requests)]
    assert ids != [r.completion_ids for r in engine.generate([replace(request, seed=request.seed + 1) for request in requests])]
    assert len(set(ids)) > 12


def test_a_corrupt_publication_is_refused_and_nothing_is_served_until_a_good_one_comes(
    engine: Engine, publish: Publish, make_requests: MakeRequests
) -> None:
    good = publish(16)
    torn = good.buckets[0].copy()
    torn[1000] ^= 1
    with pytest.raises(RuntimeError, match="version 16 with fingerprint"):
        engine.load(replace(good, buckets=(torn, *good.buckets[1:])))
    with pytest.raises(RuntimeError, match="serves no weights: loading version 16 did not finish"):
        engine.generate(make_requests(1))
    engine.load(good)
    assert engine.generate(make_requests(1))[0].policy_version == 16


def test_a_prompt_that_does_not_fit_leaves_the_engine_working(
    engine: Engine, publish: Publish, make_requests: MakeRequests
) -> None:
    engine.load(publish(11))
    with pytest.raises(UserError, match=r"generators\.max_model_len=256"):
        engine.generate(make_requests(1, prefix="x" * 256))
    assert len(engine.generate(make_requests(4))) == 4
    assert engine.generate([]) == []


def test_the_threads_of_the_process_are_put_back(engine: Engine, make_requests: MakeRequests, publish: Publish) -> None:
    engine.load(publish(11))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    engine.generate(make_requests(2))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_transformers_refuses_a_publication_with_a_missing_tensor(
    tiny_model: Path, generators: GeneratorsSection, make_model: Callable[[int], Any]
) -> None:
    engine = TransformersEngine(tiny_model, generators)
    named = [(name, tensor) for name, tensor in make_model(1).named_parameters() if "k_proj.bias" not in name]
    with pytest.raises(RuntimeError, match=r"2 names or shapes differ"):
        engine.load(pack(named, version=1))


@pytest.mark.slow
@pytest.mark.parametrize("share", [1, 5, 24])
@pytest.mark.parametrize("prefix", ["", "x" * 150], ids=["short", "longer-than-a-cache-block"])
def test_vllm_gives_the_same_bits_however_the_requests_are_split(
    vllm_engine: VllmEngine, publish: Publish, make_requests: MakeRequests, share: int, prefix: str
) -> None:
    vllm_engine.load(publish(17))
    requests = make_requests(48, prefix=prefix)
    whole = sampled(vllm_engine.generate(requests))
    parts = [vllm_engine.generate(requests[start : start + share]) for start in range(0, 48, share)]
    assert sampled([rollout for part in parts for rollout in part]) == whole


@pytest.mark.slow
def test_vllm_prefills_more_prompts_than_fit_at_once_without_splitting_one(
    vllm_engine: VllmEngine, publish: Publish, make_requests: MakeRequests
) -> None:
    """Twice max_num_seqs prompts of nearly max_model_len: a prompt split over two passes kills vLLM's CPU sampler."""
    vllm_engine.load(publish(17))
    rollouts = vllm_engine.generate(make_requests(64, prefix="x" * 200, max_tokens=20))
    assert len(rollouts) == 64


@pytest.mark.slow
def test_vllm_refuses_a_publication_with_a_missing_or_unknown_tensor(
    vllm_engine: VllmEngine, publish: Publish, make_model: Callable[[int], Any], make_requests: MakeRequests
) -> None:
    named = list(make_model(18).named_parameters())
    with pytest.raises(RuntimeError, match=r"2 missing .*k_proj\.bias"):
        vllm_engine.load(pack([pair for pair in named if "k_proj.bias" not in pair[0]], version=18))
    with pytest.raises(RuntimeError, match="serves no weights"):
        vllm_engine.generate(make_requests(1))
    vllm_engine.load(publish(18))
    model = make_model(18)
    assert worst_logprob_difference(model, vllm_engine.generate(make_requests(8))) <= 1e-4


@pytest.mark.slow
def test_an_untied_model_is_updated_as_a_whole_too(
    tmp_path: Path,
    tiny_model: Path,
    generators: GeneratorsSection,
    make_model: Callable[[int], Any],
    make_requests: MakeRequests,
) -> None:
    """The output head is prepacked apart from the embedding; both ways of holding it must follow a publication."""
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = make_model(21)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(
        torch.from_numpy(np.random.default_rng(0).normal(0, 0.15, model.lm_head.weight.shape)).float()
    )
    model.save_pretrained(tmp_path)
    engine = VllmEngine(tmp_path, generators)
    with torch.no_grad():
        model.lm_head.weight.mul_(-1.0)
    engine.load(pack(model.named_parameters(), version=22))
    assert worst_logprob_difference(model, engine.generate(make_requests(8))) <= 1e-4
    engine.close()
