"""One learner rank in a process of its own: `python rank.py JOB.json`, under torchrun's environment variables.

The job: {"model", "sections", "batches" (two seeds), "shape", "folder"}. For each section: update, save, update; then a
new learner loads the checkpoint and repeats the second update. Rank 0 writes folder/NUMBER.json (scalars, both
fingerprints) and folder/NUMBER.safetensors (published weights).
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from configs.system_sections import LearnerSection
from learner.learner import Learner
from learner.weights import unpack


def play(job: dict[str, Any], number: int, make_batch: Any) -> None:
    section = LearnerSection.model_validate(job["sections"][number])
    first, second = (make_batch(seed, **job["shape"]) for seed in job["batches"])
    folder = Path(job["folder"])

    def make() -> Learner:
        return Learner.under_torchrun(job["model"], section, dtype="float32", seed=0)

    learner = make()
    scalars = [learner.update(first, 1e-3)]
    learner.save(folder / f"checkpoint-{number}")
    scalars.append(learner.update(second, 1e-3))
    publication = learner.publish(2)
    resumed = make()
    resumed.load(folder / f"checkpoint-{number}")
    resumed.update(second, 1e-3)
    again = resumed.publish(2)
    if publication.manifest.tensors:
        prints = [publication.manifest.fingerprint, again.manifest.fingerprint]
        (folder / f"{number}.json").write_text(json.dumps({"scalars": scalars, "fingerprints": prints}))
        save_file(dict(unpack(publication.manifest, publication.buckets)), folder / f"{number}.safetensors")


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    spec = importlib.util.spec_from_file_location("batches", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    batches = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(batches)
    for number in range(len(job["sections"])):
        play(job, number, batches.random_batch)


if __name__ == "__main__":
    main()
