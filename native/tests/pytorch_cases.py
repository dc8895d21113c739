"""Makes pytorch_cases.h: small arrays through PyTorch's operators in float64, for native tests to compare with.

    python native/tests/pytorch_cases.py > native/tests/pytorch_cases.h        (made with PyTorch 2.14.1)
"""
import torch
import torch.nn.functional as F

torch.manual_seed(20)
torch.set_default_dtype(torch.float64)


def rand(*shape):
    """Values that are floats exactly, so that both sides start from the same."""
    return torch.randn(*shape).float().double()


def show(name, tensor):
    values = ", ".join("%.9g" % v for v in tensor.detach().reshape(-1).tolist())
    print(f"inline const std::vector<double> {name}{{{values}}};")


def leaf(tensor):
    return tensor.clone().requires_grad_(True)


def nchw(tensor):
    return tensor.permute(0, 3, 1, 2)


def nhwc(tensor):
    return tensor.permute(0, 2, 3, 1)


print("// Made by pytorch_cases.py with PyTorch %s, in float64. Images are [n, h, w, c]." % torch.__version__.split("+")[0])
print("#pragma once\n#include <vector>\n\nnamespace dl::test::pytorch {\n")

# Batch norm in training, then ReLU, with and without a residual: x[3,2,2,5], epsilon 1e-5.
x, gamma, beta, residual, dy = leaf(rand(3, 2, 2, 5) * 2 + 1), leaf(rand(5)), leaf(rand(5)), leaf(rand(3, 2, 2, 5)), rand(3, 2, 2, 5)
for name, value in dict(x=x, gamma=gamma, beta=beta, residual=residual, dy=dy).items():
    show("bn_" + name, value)
for kind in ("plain", "residual"):
    running_mean, running_var = torch.zeros(5), torch.zeros(5)
    z = nhwc(F.batch_norm(nchw(x), running_mean, running_var, gamma, beta, training=True, momentum=1.0))
    y = F.relu(z + residual) if kind == "residual" else F.relu(z)
    gradients = torch.autograd.grad(y, [x, gamma, beta] + ([residual] if kind == "residual" else []), dy)
    show(f"bn_{kind}_y", y)
    for name, value in zip(["dx", "dgamma", "dbeta", "dresidual"], gradients):
        show(f"bn_{kind}_{name}", value)
show("bn_mean", running_mean)
show("bn_unbiased", running_var)

# Layer norm over the last two dimensions of [4,3,6].
x, gamma, beta, dy = leaf(rand(4, 3, 6) + 3), leaf(rand(3, 6)), leaf(rand(3, 6)), rand(4, 3, 6)
y = F.layer_norm(x, (3, 6), gamma, beta, 1e-5)
for name, value in dict(x=x, gamma=gamma, beta=beta, dy=dy, y=y).items():
    show("ln_" + name, value)
for name, value in zip(["dx", "dgamma", "dbeta"], torch.autograd.grad(y, [x, gamma, beta], dy)):
    show("ln_" + name, value)

# Group norm, 3 groups of 2 channels, x[2,3,2,6].
x, gamma, beta, dy = leaf(rand(2, 3, 2, 6) - 2), leaf(rand(6)), leaf(rand(6)), rand(2, 3, 2, 6)
y = nhwc(F.group_norm(nchw(x), 3, gamma, beta, 1e-5))
for name, value in dict(x=x, gamma=gamma, beta=beta, dy=dy, y=y).items():
    show("gn_" + name, value)
for name, value in zip(["dx", "dgamma", "dbeta"], torch.autograd.grad(y, [x, gamma, beta], dy)):
    show("gn_" + name, value)

# Local response norm over 5 and over 4 of 7 channels, alpha 0.3, beta 0.75, k 2.
x, dy = leaf(rand(2, 2, 2, 7) * 2), rand(2, 2, 2, 7)
show("lrn_x", x)
show("lrn_dy", dy)
for size in (5, 4):
    y = nhwc(F.local_response_norm(nchw(x), size, 0.3, 0.75, 2.0))
    show(f"lrn{size}_y", y)
    show(f"lrn{size}_dx", torch.autograd.grad(y, x, dy)[0])

# Losses of [4,5]: cross-entropy against probabilities, mean squared error, binary cross-entropy with logits.
x, t = leaf(rand(4, 5) * 3), torch.softmax(rand(4, 5), 1).float().double()
show("loss_x", x)
show("loss_t", t)
rows = F.cross_entropy(x, t, reduction="none")
show("ce_rows", rows)
show("ce_dx", torch.autograd.grad(rows.mean(), x)[0])
for name, loss in (("mse", F.mse_loss(x, t)), ("bce", F.binary_cross_entropy_with_logits(x, t))):
    show(name + "_loss", loss)
    show(name + "_dx", torch.autograd.grad(loss, x)[0])
show("softmax_y", F.softmax(x, 1))
show("log_softmax_y", F.log_softmax(x, 1))
show("softmax_dx", torch.autograd.grad(F.softmax(x, 1), x, t)[0])
show("log_softmax_dx", torch.autograd.grad(F.log_softmax(x, 1), x, t)[0])

# Optimizers: 7 parameters after each of 4 steps with the gradients below.
p, gradients = rand(7), rand(4, 7)
show("optim_p", p)
show("optim_g", gradients)
for name, make in {
    "sgd": lambda w: torch.optim.SGD(w, lr=0.1),
    "sgd_momentum": lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.01),
    "sgd_nesterov": lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "sgd_dampening": lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda w: torch.optim.Adam(w, lr=0.02, betas=(0.9, 0.99), eps=0.05, weight_decay=0.1),
    "adamw": lambda w: torch.optim.AdamW(w, lr=0.02, betas=(0.9, 0.99), eps=0.05, weight_decay=0.1),
    "rmsprop": lambda w: torch.optim.RMSprop(w, lr=0.02, alpha=0.9, eps=0.05, weight_decay=0.1),
    "rmsprop_momentum": lambda w: torch.optim.RMSprop(w, lr=0.02, alpha=0.9, eps=0.05, momentum=0.8),
    "rmsprop_centered": lambda w: torch.optim.RMSprop(w, lr=0.02, alpha=0.9, eps=0.05, momentum=0.8, centered=True),
}.items():
    w = torch.nn.Parameter(p.clone())
    optimizer = make([w])
    steps = []
    for g in gradients:
        w.grad = g.clone()
        optimizer.step()
        steps.append(w.detach().clone())
    show(name, torch.stack(steps))

# Clipping: the norm of the gradients above, and the first of them clipped to a norm of 1 over all.
w = torch.nn.Parameter(gradients.clone())
w.grad = gradients.clone()
show("clip_norm", torch.nn.utils.clip_grad_norm_([w], 1.0))
show("clip_g", w.grad)

print("\n}  // namespace dl::test::pytorch")
