"""Prints the SHA-256 of NumPy's own draws for each seed: numpy_random_check.py SEED... (see numpy_random_test.cpp)."""
import hashlib
import sys

import numpy as np

RANGES = [(0, 1), (0, 2), (0, 500000), (-7, 11), (0, 2**32 - 1), (0, 2**32), (5, 2**32 + 6), (-2**63, 2**63 - 1),
          (0, 3 * 2**30), (0, 3 * 2**61), (-2**62, 2**62 + 1)]

for seed in map(int, sys.argv[1:]):
    rng = np.random.default_rng(seed)
    digest = hashlib.sha256()
    digest.update(rng.standard_normal(1000000).tobytes())
    digest.update(rng.random(1001).tobytes())
    for low, high in RANGES:
        for size in (1, 1001):
            digest.update(rng.integers(low, high, size=size).tobytes())
        digest.update(np.int64(rng.integers(low, high)).tobytes())
        digest.update(rng.standard_normal(3).tobytes())
    print(digest.hexdigest())
