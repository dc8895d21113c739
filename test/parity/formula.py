"""Numbers that Python and TypeScript make alike, to the last bit, from a key and an index (see formula.ts)."""

import numpy as np


def hashed(key, count):
    """`count` numbers, uniform in [-1, 1): FNV-1a of the key, plus the index, mixed by MurmurHash3's finaliser."""
    seed = 0x811C9DC5
    for byte in key.encode():
        seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
    z = np.arange(count, dtype=np.uint32)
    z += np.uint32(seed)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, None)):
        z ^= z >> np.uint32(shift)
        if factor:
            z *= np.uint32(factor)
    return z / 2.0**31 - 1


def value(key, shape):
    """A tensor of a state_dict: fan-in scaled weights, norms near the identity; float64 rounded to float32."""
    count = int(np.prod(shape))
    u = hashed(key, count)
    if len(shape) > 1:
        u *= np.sqrt(6 / (count / shape[0]))
    elif key.endswith("running_var"):
        u = 1 + 0.5 * u
    elif key.endswith("weight"):
        u = 1 + 0.25 * u
    else:
        u *= 0.25
    return u.astype(np.float32).reshape(shape)


def images(count, height, width, channels):
    """Input n,h,w,c of unit variance."""
    u = np.sqrt(3) * hashed("images", count * height * width * channels)
    return u.astype(np.float32).reshape(count, height, width, channels)


def labels(count, classes):
    return [(7 * i + 3) % classes for i in range(count)]
