"""Compares what pytorch-differential.ts wrote with what PyTorch reads in the same files."""

import collections
import io
import json
import sys
import warnings

import torch

warnings.filterwarnings("ignore")
names = {
    torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}


def flat(value, path, tensors, scalars):
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        (tensors if torch.is_tensor(value) else scalars).append((path, value))
        return
    for key, item in items:
        flat(item, f"{path}.{key}" if path is not None else str(key), tensors, scalars)


def described(path, tensor):
    data = tensor.detach().resolve_neg().contiguous().flatten()
    data = data.view(torch.uint8) if data.numel() else data.new_zeros(0, dtype=torch.uint8)
    return [path or "", names[tensor.dtype], list(tensor.shape), data.numpy().tobytes().hex()]


verdicts = collections.Counter()
for number, line in enumerate(open(sys.argv[1])):
    ours = json.loads(line)
    content = bytes.fromhex(ours["file"])
    try:
        loaded = torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # whatever it is, we accepted more than PyTorch
        verdicts["refused by PyTorch"] += 1
        print(number, "refused by PyTorch:", str(error).splitlines()[0][:160])
        continue
    tensors, scalars = [], []
    flat(loaded, None, tensors, scalars)
    same = [described(*t) for t in tensors] == ours["tensors"] and len(scalars) == ours["scalars"]
    verdicts["same" if same else "different"] += 1
    if not same:
        print(number, "different")
print(dict(verdicts))
