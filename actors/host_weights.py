"""A vLLM weight-transfer engine that takes named tensors from this process' memory.

vLLM prepacks linear weights on CPU, so loading into a running model must go through its layerwise reload: the transfer
API restores each layer, loads it, packs it again and keeps the tensors where the kernels expect them. This engine says
where the bytes come from (memory) and insists that every published name was consumed and every parameter was filled.
It does not check fingerprints: that is done on the buckets before they get here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import WeightTransferEngine, WeightTransferInitInfo, WeightTransferUpdateInfo
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

BACKEND = "host"
TIED_HEAD = "lm_head.weight"  # with tied embeddings it is the embedding; a publication may hold it or not


@dataclass
class HostInitInfo(WeightTransferInitInfo):  # type: ignore[misc]  # vLLM is untyped here
    """Nothing to connect to."""


@dataclass
class HostUpdateInfo(WeightTransferUpdateInfo):  # type: ignore[misc]
    named_tensors: list[tuple[str, torch.Tensor]] = field(default_factory=list)


class HostWeightTransferEngine(WeightTransferEngine[HostInitInfo, HostUpdateInfo]):  # type: ignore[misc]
    """The whole model in one update, from host memory; layerwise reload copies each layer to the model's device."""

    init_info_cls = HostInitInfo
    update_info_cls = HostUpdateInfo
    in_parts = False

    def init_transfer_engine(self, init_info: HostInitInfo) -> None:
        del init_info

    def start_weight_update(self) -> None:
        """Nothing yet: the model is taken apart only once the names are known to fit."""
        if self.in_parts:
            raise RuntimeError("an earlier load failed half-way and left the layers in parts; restart the generator")

    def update_weights(self, update_info: dict[str, object]) -> None:
        # The base class synchronises an accelerator, which fails where there is none.
        self.receive_weights(self.parse_update_info(update_info))
        if self.device.type != "cpu":
            torch.accelerator.synchronize()

    def receive_weights(self, update_info: HostUpdateInfo) -> None:
        names = [name for name, _ in update_info.named_tensors]
        parameters = [name for name, _ in self.model.named_parameters() if not (self._tied() and name == TIED_HEAD)]
        assert_names_fit(names, parameters, getattr(self.model, "packed_modules_mapping", {}))
        initialize_layerwise_reload(self.model)
        self.in_parts = True  # until it is whole again
        model: Any = self.model
        loaded = model.load_weights(iter(update_info.named_tensors))
        unfilled = sorted(set(parameters) - set(loaded or parameters))
        if unfilled:
            raise RuntimeError(f"weights do not fill the model: {len(unfilled)} parameters are left, such as {unfilled[:3]}")

    def finish_weight_update(self) -> None:
        finalize: Any = finalize_layerwise_reload
        finalize(self.model, self.model_config)
        head: Any = getattr(self.model, "lm_head", None)
        if self._tied() and head is not None:
            # Layerwise reload sees a tied head load nothing and leaves its prepacked copy of the old embedding in place.
            head.quant_method.process_weights_after_loading(head)
        self.in_parts = False

    def _tied(self) -> bool:
        return bool(getattr(self.model_config.hf_text_config, "tie_word_embeddings", False))

    def shutdown(self) -> None:
        """Holds nothing."""


def assert_names_fit(names: Iterable[str], parameters: Iterable[str], packed: Mapping[str, list[str]]) -> None:
    """Raises RuntimeError, before anything is touched, unless the published names fill the model's parameters exactly.

    vLLM fuses some of a checkpoint's tensors (q, k, v → qkv); `packed` maps a fused module to its parts. Fused experts have
    names of their own per architecture and are left to vLLM's own check.
    """
    published = set(names)
    wanted = {part for name in parameters if ".experts." not in name for part in _parts(name, packed)}
    missing = sorted(wanted - published)
    unknown = sorted(name for name in published - wanted if ".experts." not in name and name != TIED_HEAD)
    if missing or unknown:
        raise RuntimeError(
            f"weights do not fit the model: {len(missing)} missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}"
        )


def _parts(name: str, packed: Mapping[str, list[str]]) -> list[str]:
    for fused, parts in packed.items():
        if f".{fused}." in name:
            return [name.replace(f".{fused}.", f".{part}.") for part in parts]
    return [name]


def register() -> None:
    """Makes the backend known to vLLM; safe to call again."""
    if BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(BACKEND, HostWeightTransferEngine)
