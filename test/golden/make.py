"""Makes golden.safetensors: two small networks in PyTorch, their logits, gradients, running statistics and losses.

    python make.py          (torch, safetensors)

Everything is computed in float64 from float32 weights and inputs, and stored as float32: the truth. It is computed in
float32 too, and how far that is from the truth is stored beside it (metadata "error"): another float32 engine may be as
far off, times a factor that the test states. Names are dlcourse's paths, weights in PyTorch's layout, images n,h,w,c.
"""

import json
import math
import os
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

BATCH, BATCHES, STEPS = 6, 3, 10


def conv(s, name, x, **how):
    return F.conv2d(x, s[f"{name}.weight"], s.get(f"{name}.bias"), **how)


def norm(s, name, x, training):
    return F.batch_norm(x, s[f"{name}.running_mean"], s[f"{name}.running_var"], s[f"{name}.weight"], s[f"{name}.bias"],
                        training, 0.1, 1e-5)


def residual_net(s, x, training):
    """Batch norm, max pool, a projected shortcut (type B), a padded one (type A), global average pool, dropout at 0."""
    def branch(name, x, stride):
        y = F.relu(norm(s, f"{name}.bn1", conv(s, f"{name}.conv1", x, stride=stride, padding=1), training))
        return norm(s, f"{name}.bn2", conv(s, f"{name}.conv2", y, padding=1), training)

    x = F.relu(norm(s, "stem.bn", conv(s, "stem.conv", x, padding=1), training))
    x = F.max_pool2d(x, 3, 2, 1)
    projected = norm(s, "b.sum.shortcut.bn", conv(s, "b.sum.shortcut.conv", x, stride=2), training)
    x = F.relu(branch("b.sum", x, 2) + projected)
    padded = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
    x = F.relu(branch("a.sum", x, 2) + padded)
    x = F.dropout(x.mean((2, 3)), 0.0, training)
    return F.linear(x, s["fc.weight"], s["fc.bias"])


def branching_net(s, x, training):
    """Depthwise, grouped and dilated convolutions, group norm, average pool, concatenated branches, flatten."""
    x = F.silu(F.group_norm(conv(s, "stem", x, padding=(1, 0)), 2, s["norm.weight"], s["norm.bias"], 1e-5))
    x = F.relu6(conv(s, "depthwise", x, stride=(1, 2), padding=1, groups=8))
    x = F.silu(conv(s, "grouped", x, padding=2, dilation=2, groups=2))
    x = torch.cat([conv(s, "mixed.point", x), F.relu6(conv(s, "mixed.wide", x, padding=(3, 3), dilation=3)),
                   F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)], 1)
    x = F.avg_pool2d(x, 2)
    return F.linear(x.flatten(1), s["fc.weight"], s["fc.bias"])


def conv_state(name, oc, ic, kh, kw, bias=False):
    return {f"{name}.weight": (oc, ic, kh, kw)} | ({f"{name}.bias": (oc,)} if bias else {})


def norm_state(name, c, running=True):
    kinds = ["weight", "bias"] + (["running_mean", "running_var"] if running else [])
    return {f"{name}.{kind}": (c,) for kind in kinds}


def branch_state(name, width, ic):
    return (conv_state(f"{name}.conv1", width, ic, 3, 3) | norm_state(f"{name}.bn1", width)
            | conv_state(f"{name}.conv2", width, width, 3, 3) | norm_state(f"{name}.bn2", width))


networks = {
    "residual": (residual_net, (16, 16, 3), 5,
                 conv_state("stem.conv", 8, 3, 3, 3) | norm_state("stem.bn", 8)
                 | branch_state("b.sum", 12, 8) | conv_state("b.sum.shortcut.conv", 12, 8, 1, 1)
                 | norm_state("b.sum.shortcut.bn", 12) | branch_state("a.sum", 16, 12)
                 | {"fc.weight": (5, 16), "fc.bias": (5,)}),
    "branching": (branching_net, (10, 8, 3), 7,
                  conv_state("stem", 8, 3, 3, 1, True) | norm_state("norm", 8, False)
                  | conv_state("depthwise", 8, 1, 3, 3, True) | conv_state("grouped", 12, 4, 3, 3, True)
                  | conv_state("mixed.point", 6, 12, 1, 1, True) | conv_state("mixed.wide", 10, 12, 3, 3, True)
                  | {"fc.weight": (7, 28 * 5 * 2), "fc.bias": (7,)}),
}

optimizers = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
}


def initial(shapes):
    state = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape)
        if name.endswith("running_var"):
            state[name] = 0.5 + torch.rand(shape)
        elif name.endswith("running_mean") or name.endswith("bias"):
            state[name] = 0.2 * noise
        elif len(shape) == 1:
            state[name] = 1 + 0.2 * noise
        else:
            state[name] = noise * (2 / math.prod(shape[1:])) ** 0.5
    return state


def results(network, state, x, y, dtype):
    forward, _, _, _ = network
    images = x.to(dtype).permute(0, 1, 4, 2, 3)
    fresh = lambda: {n: t.to(dtype, copy=True).requires_grad_("running" not in n) for n, t in state.items()}
    learned = lambda s: [t for n, t in s.items() if "running" not in n]
    out = {}

    s = fresh()
    with torch.no_grad():
        out["logits"] = forward(s, images[0], False)
    F.cross_entropy(forward(s, images[0], True), y[0]).backward()
    for n, t in s.items():
        if t.grad is not None:
            out[f"gradient/{n}"] = t.grad

    for kind, make in optimizers.items():
        s = fresh()
        optimizer = make(learned(s))
        losses = []
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = F.cross_entropy(forward(s, images[step % BATCHES], True), y[step % BATCHES])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        out[f"{kind}/losses"] = torch.stack(losses)
        for n, t in s.items():
            if "running" in n or n == "fc.weight":
                out[f"{kind}/after/{n}"] = t.detach()
    return out


def main():
    torch.manual_seed(20)
    torch.set_num_threads(1)
    tensors, errors = {}, {}
    for name, network in networks.items():
        _, (h, w, c), classes, shapes = network
        x = 2 * torch.randn(BATCHES, BATCH, h, w, c)
        y = torch.randint(classes, (BATCHES, BATCH))
        state = initial(shapes)
        truth = results(network, state, x, y, torch.float64)
        rough = results(network, state, x, y, torch.float32)
        tensors |= {f"{name}/x": x, f"{name}/y": y.to(torch.int32)}
        tensors |= {f"{name}/state/{n}": t for n, t in state.items()}
        for n, t in truth.items():
            tensors[f"{name}/{n}"] = t.to(torch.float32).contiguous()
            errors[f"{name}/{n}"] = float((rough[n].double() - t).abs().max() / t.abs().max())
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.safetensors")
    shown = {n: float(f"{e:.2e}") for n, e in errors.items()}
    save_file(tensors, file, {"error": json.dumps(shown), "torch": torch.__version__})
    print(os.path.getsize(file), "bytes; largest relative error of float32:", max(errors.values()))
    for name in networks:
        for kind in optimizers:
            print(name, kind, tensors[f"{name}/{kind}/losses"].tolist())


main()
