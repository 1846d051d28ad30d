"""Intervals for measured proportions. Pure arithmetic; knows nothing of suites or runs."""

import math

Z_95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal


def wilson(right: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (E. B. Wilson, JASA 22, 1927, p. 209).

        (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n),  p = right / n

    Returns (low, high) within [0, 1], around p; (0, 1) when nothing was measured.
    """
    if not 0 <= right <= total:
        raise ValueError(f"right must be between 0 and total, got {right} of {total}; count each item once")
    if z <= 0:
        raise ValueError(f"z must be positive, got {z}; 1.96 gives 95 %")
    if total == 0:
        return 0.0, 1.0
    share = right / total
    scale = 1.0 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1.0 - share) / total + z * z / (4.0 * total * total)) / scale
    # At 0 of n and n of n the interval touches 0 and 1 exactly; rounding must not leave the share outside it.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
