"""
Exemplar Normalization in PyTorch in the engine's fused form: the moments of every image and channel once, from them the coefficients A
and B on N*K*C numbers, then one affine pass Y = A X + B. Two ways to the gradient:
  FusedOps     autograd through these operations
  FusedTwoPass a torch.autograd.Function whose backward reads the large tensors twice: once for the sums of g and g X, once for dX. Only the
               step between, on N*K*C numbers, is left to autograd.
Parameters and buffers are those of norms.Exemplar, the plain form. check() compares both with it in float64.
"""
import math

import torch

from norms import DEFAULTS, Exemplar, largest_divisor


def moments(x):
    """Mean and biased variance of every image and channel, (N,C), in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    mean = x.mean((2, 3), keepdim=True, dtype=dtype)
    return mean.flatten(1), (x - mean).square().mean((2, 3))


def affine(x, a, b):
    a, b = (t.to(x.dtype)[:, :, None, None] for t in (a, b))
    return torch.addcmul(b, x, a)


class FusedOps(Exemplar):
    def statistics(self, method, m, v, points):
        """Mean and variance of one method from the moments, (N,C)."""
        n, c = m.shape
        if method == "in":
            return m, v
        if method == "bn" and not self.training:
            return self.running_mean.expand(n, c), self.running_var.expand(n, c)
        groups = {"bn": c, "ln": 1, "gn": largest_divisor(c, self.spec["groups"])}[method]
        images = n if method == "bn" else 1
        m, v = (t.reshape(n // images, images, groups, c // groups) for t in (m, v))
        mean = m.mean((1, 3), keepdim=True)
        var = (v + (m - mean).square()).mean((1, 3), keepdim=True)
        if method == "bn":
            count, momentum = n * points, self.spec["momentum"]
            with torch.no_grad():
                self.running_mean.mul_(1 - momentum).add_(mean.flatten(), alpha=momentum)
                self.running_var.mul_(1 - momentum).add_(var.flatten(), alpha=momentum * count / max(count - 1, 1))
        return mean.expand_as(m).reshape(n, c), var.expand_as(m).reshape(n, c)

    def coefficients(self, m, v, points):
        """A and B, (N,C)."""
        mean, var = (torch.stack(t, 1) for t in zip(*(self.statistics(method, m, v, points) for method in self.methods)))  # (N,K,C)
        inverse = torch.rsqrt(var + self.spec["eps"])
        ratios = self.ratio((m[:, None] - mean) * inverse)
        self.last_ratios = ratios.detach()
        ratios = ratios[:, :, None]
        scale = ratios * self.weight * inverse
        shift = self.bias if self.outside else (ratios * self.bias).sum(1)
        return scale.sum(1), shift - (scale * mean).sum(1)

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            m, v = moments(x)
            return affine(x, *self.coefficients(m, v, x[0, 0].numel()))


class TwoPass(torch.autograd.Function):
    """x (N,C,H,W), a FusedOps layer and its parameters (given so that their gradients have a place) -> A x + B."""

    @staticmethod
    def forward(ctx, x, layer, *parameters):
        m, v = (t.requires_grad_() for t in moments(x))
        with torch.enable_grad():
            a, b = layer.coefficients(m, v, x[0, 0].numel())
        ctx.save_for_backward(x)
        ctx.small = (a, b), (m, v, *parameters)
        return affine(x, a.detach(), b.detach())

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        (a, b), inputs = ctx.small
        points = x[0, 0].numel()
        with torch.autocast("cpu", enabled=False):
            sums = (g * x).sum((2, 3), dtype=a.dtype), g.sum((2, 3), dtype=b.dtype)  # gradients of A and B
            dm, dv, *rest = torch.autograd.grad((a, b), inputs, sums)
            factor = 2 * dv / points
            return (affine(x, factor, dm / points - factor * inputs[0].detach()).addcmul_(g, a.detach().to(g.dtype)[:, :, None, None]),
                    None, *rest)


class FusedTwoPass(FusedOps):
    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            return TwoPass.apply(x, self, *self.parameters())


def check():
    """Values, running statistics and gradients of both forms against the plain one in float64; True where all agree."""
    torch.manual_seed(1)
    specs = [{"methods": methods.split(",")} for methods in ("bn,in,ln", "bn,in,ln,gn", "gn,in", "bn")]
    specs += [{key: value} for key, value in (("activation", "relu"), ("conv", False), ("affine", "single"), ("shift", "outside"))]
    right = True
    for form in (FusedOps, FusedTwoPass):
        for spec in specs:
            worst = max(difference(form, {**DEFAULTS, "groups": 3, "reduction": 4, **spec}, layout)
                        for layout in (torch.contiguous_format, torch.channels_last))
            right &= worst < 1e-10
            print(f"{form.__name__:13} {str(spec):42} largest relative difference {worst:.1e}  {'' if worst < 1e-10 else 'FAILED'}")
    return right


def difference(form, spec, layout):
    channels, dtype = 12, torch.float64
    plain, fused = Exemplar(channels, spec).to(dtype), form(channels, spec).to(dtype)
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.3 if "fc1" in name else 1))
    fused.load_state_dict(plain.state_dict())
    x = (torch.randn(5, channels, 7, 6, dtype=dtype) * 2 + torch.randn(5, channels, 1, 1, dtype=dtype)).contiguous(memory_format=layout)
    g = torch.randn_like(x)
    results = []
    for layer in (plain, fused):
        source = x.clone().requires_grad_()
        y = layer(source)
        y.backward(g)
        values = {"y": y.detach(), **dict(layer.named_buffers()), "dx": source.grad}
        gradients = {name: p.grad for name, p in layer.named_parameters()}
        layer.eval()
        results.append(({**values, "y in evaluation": layer(x).detach()}, gradients))
    (values, gradients), (fused_values, fused_gradients) = results
    # A gradient that is zero but for rounding (a logit's bias with one method) is compared on the scale of the layer's others.
    floor = 1e-3 * max(t.abs().max().item() for t in gradients.values())
    return max([distance(fused_values[name], t, 0) for name, t in values.items()] +
               [distance(fused_gradients[name], t, floor) for name, t in gradients.items()])


def distance(a, b, floor):
    largest = (a - b).abs().max().item() / max(b.abs().max().item(), floor)
    return largest if math.isfinite(largest) else math.inf
