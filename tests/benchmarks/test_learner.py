"""The learner's benchmark: its batch is what it says, and both of its paths run (small, on the CPU)."""

import pytest

from benchmarks import learner as benchmark
from benchmarks.learner import Shape
from configs.system_sections import LearnerSection

SMALL = Shape(
    vocabulary=50, hidden=32, intermediate=64, layers=1, heads=2, kv_heads=1,
    prompts=4, attempts=3, prompt_tokens=6, answer_tokens=4, ragged=True,
)  # fmt: skip


def test_the_batch_has_the_stated_shape_and_is_the_same_for_a_seed() -> None:
    batch = benchmark.make_batch(SMALL, 1)
    assert batch == benchmark.make_batch(SMALL, 1)
    assert len({item.rollout.prompt_ids for item in batch}) == 4
    assert len(batch) == 12
    assert {len(item.rollout.completion_ids) for item in batch} == {3, 4, 5}


@pytest.mark.slow
def test_the_comparison_agrees_on_the_mathematics_and_reports_ratios() -> None:
    found = benchmark.compare(SMALL, rounds=1, seed=0, threads=1)
    assert found["ratio"] > 0
    assert found["over_plain_loop"] > 0


@pytest.mark.slow
def test_the_gpu_path_runs_on_the_cpu_with_a_small_shape() -> None:
    section = LearnerSection(zero_stage=1, threads=1)
    found = benchmark.throughput(SMALL, section, "bfloat16", steps=1, seed=0)
    assert found["tokens_per_s"] > 0
    assert found["tflops_per_s"] >= 0


def test_the_model_of_half_a_billion_has_its_weights() -> None:
    # Qwen2-0.5B: 494 M parameters, of which 136 M are the tied embedding.
    assert benchmark.QWEN2_HALF_BILLION.matmul_parameters == pytest.approx(358e6, rel=0.01)
