"""Compares the verdicts written by differential.ts with those of the safetensors library (see there)."""

import collections
import json
import sys

import safetensors

counts = collections.Counter()
stricter = collections.Counter()
wrong = 0
for number, line in enumerate(open(sys.argv[1])):
    case = json.loads(line)
    ours = case["ours"]
    try:
        theirs = [
            (name, t["dtype"], list(t["shape"]), bytes(t["data"]).hex())
            for name, t in safetensors.deserialize(bytes.fromhex(case["file"]))
        ]
    except safetensors.SafetensorError:
        theirs = None
    counts["tensors" in ours, theirs is not None] += 1
    if "tensors" in ours and sorted(map(repr, theirs or [])) != sorted(repr(tuple(t)) for t in ours["tensors"]):
        wrong += 1
        print(f"line {number}: {ours} against {theirs}")
    elif "tensors" in ours and theirs is None:
        wrong += 1
        print(f"line {number}: accepted by us alone")
    elif theirs is not None and "code" in ours:
        stricter[ours["code"]] += 1
print(f"both accept {counts[True, True]}, both refuse {counts[False, False]}, only we refuse {dict(stricter)}, wrong {wrong}")
sys.exit(1 if wrong else 0)
