"""Seeds derived by hashing, so that each request's randomness depends on what it is and on nothing else."""

import hashlib


def derive_seed(run_seed: int, *parts: int | str) -> int:
    """A 31-bit seed from the run's seed and the names of the thing that needs one (stable over machines and versions)."""
    text = "\x1f".join(str(part) for part in (run_seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") & 0x7FFFFFFF
