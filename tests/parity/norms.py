"""
The normalisers of entrain, written plainly in PyTorch for comparison: every method normalises the whole tensor with its own mean and
variance, the results are scaled, shifted and mixed, and autograd does the backward pass. Nothing here is fused or rearranged, so that it
shares no idea with the engine under test. Parameter names and shapes are those of a checkpoint.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

DEFAULTS = {"type": "en", "methods": ["bn", "in", "ln"], "groups": 32, "reduction": 32, "pi": 50, "activation": "tanh",
            "conv": True, "affine": "per_method", "shift": "inside", "eps": 1e-5, "momentum": 0.1}


def largest_divisor(number, limit):
    return max(d for d in range(1, min(number, limit) + 1) if number % d == 0)


class Statistics(nn.Module):
    """Means and biased variances of bn, in, ln and gn, and the running ones of bn."""

    def __init__(self, channels, methods, spec):
        super().__init__()
        self.channels, self.methods, self.spec = channels, methods, spec
        if "bn" in methods:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

    def of(self, method, x):
        """Mean and variance of one method, each of a shape that broadcasts against x (N,C,H,W)."""
        n, c, h, w = x.shape
        if method == "in":
            return x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        if method == "ln":
            return x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), unbiased=False, keepdim=True)
        if method == "gn":
            groups = largest_divisor(c, self.spec["groups"])
            grouped = x.reshape(n, groups, c // groups * h * w)
            spread = [t.repeat_interleave(c // groups, dim=1).view(n, c, 1, 1)
                      for t in (grouped.mean(2), grouped.var(2, unbiased=False))]
            return spread[0], spread[1]
        if method != "bn":
            raise ValueError(f"unknown method {method}")
        if not self.training:
            return self.running_mean.view(1, c, 1, 1), self.running_var.view(1, c, 1, 1)
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        count, momentum = n * h * w, self.spec["momentum"]
        with torch.no_grad():
            self.running_mean.mul_(1 - momentum).add_(momentum * mean.flatten())
            self.running_var.mul_(1 - momentum).add_(momentum * count / max(count - 1, 1) * var.flatten())
        return mean, var


class Single(Statistics):
    """bn, in, ln, gn: one method, one gamma and beta (C)."""

    def __init__(self, channels, spec):
        super().__init__(channels, [spec["type"]], spec)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        mean, var = self.of(self.methods[0], x)
        xhat = (x - mean) / torch.sqrt(var + self.spec["eps"])
        return self.weight.view(1, -1, 1, 1) * xhat + self.bias.view(1, -1, 1, 1)


class Switchable(Statistics):
    """sn: means and variances mixed by two softmaxes, then one normalisation."""

    def __init__(self, channels, spec):
        super().__init__(channels, list(spec["methods"]), spec)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.mean_weight = nn.Parameter(torch.ones(len(self.methods)))
        self.var_weight = nn.Parameter(torch.ones(len(self.methods)))

    def forward(self, x):
        statistics = [self.of(method, x) for method in self.methods]
        for_mean, for_var = self.mean_weight.softmax(0), self.var_weight.softmax(0)
        mean = sum(a * mean for a, (mean, _) in zip(for_mean, statistics))
        var = sum(a * var for a, (_, var) in zip(for_var, statistics))
        xhat = (x - mean) / torch.sqrt(var + self.spec["eps"])
        return self.weight.view(1, -1, 1, 1) * xhat + self.bias.view(1, -1, 1, 1)


class Ratios(nn.Module):
    """lambda (N,K) of en from the pooled features as each method normalises them, ph (N,K,C)."""

    def __init__(self, channels, k, spec):
        super().__init__()
        self.activation = {"tanh": torch.tanh, "relu": torch.relu}[spec["activation"]]
        self.reduction = largest_divisor(channels, spec["reduction"]) if spec["conv"] else 1
        blocks, hidden = channels // self.reduction, spec["pi"] * k
        if spec["conv"]:
            self.conv = nn.Module()
            self.conv.weight = nn.Parameter(torch.randn(channels) / self.reduction ** 0.5)
        else:
            self.conv = None
        self.fc1, self.fc2 = nn.Linear(k * k, hidden), nn.Linear(hidden, k)
        with torch.no_grad():
            self.fc1.weight.normal_(std=1 / (k ** 0.5 * blocks))
            for tensor in (self.fc1.bias, self.fc2.weight, self.fc2.bias):
                tensor.zero_()

    def forward(self, ph):
        n, k, c = ph.shape
        z = ph
        if self.conv is not None:  # along the channels; every k is a position of its own
            blocks = c // self.reduction
            z = F.conv1d(ph.transpose(1, 2), self.conv.weight.view(blocks, self.reduction, 1), groups=blocks).transpose(1, 2)
        correlations = z @ z.transpose(1, 2)
        return self.fc2(self.activation(self.fc1(correlations.reshape(n, k * k)))).softmax(1)


class Exemplar(Statistics):
    """en: every method normalises, scales and shifts; each image mixes the results by its own ratios."""

    def __init__(self, channels, spec):
        super().__init__(channels, list(spec["methods"]), spec)
        k = len(self.methods)
        self.single, self.outside = spec["affine"] == "single", spec["shift"] == "outside"
        self.weight = nn.Parameter(torch.ones(channels) if self.single else torch.ones(k, channels))
        self.bias = nn.Parameter(torch.zeros(channels) if self.single or self.outside else torch.zeros(k, channels))
        self.ratio = Ratios(channels, k, spec)
        self.last_ratios = None  # (N,K) of the last forward pass

    def forward(self, x):
        n, c = x.shape[:2]
        pooled = x.mean((2, 3), keepdim=True)
        normalised, features = [], []
        for method in self.methods:
            mean, var = self.of(method, x)
            sd = torch.sqrt(var + self.spec["eps"])
            normalised.append((x - mean) / sd)
            features.append(((pooled - mean) / sd).view(n, c))
        ratios = self.ratio(torch.stack(features, 1))
        self.last_ratios = ratios.detach()
        y = self.bias.view(1, c, 1, 1) if self.outside else 0
        for k, xhat in enumerate(normalised):
            gamma = self.weight if self.single else self.weight[k]
            term = gamma.view(1, c, 1, 1) * xhat
            if not self.outside:
                term = term + (self.bias if self.single else self.bias[k]).view(1, c, 1, 1)
            y = y + ratios[:, k].view(n, 1, 1, 1) * term
        return y


def make_norm(channels, spec):
    """spec: the `norm` section of a configuration; keys that are missing take DEFAULTS."""
    spec = {**DEFAULTS, **spec}
    return {"sn": Switchable, "en": Exemplar}.get(spec["type"], Single)(channels, spec)
