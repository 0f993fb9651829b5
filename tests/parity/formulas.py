"""
The small step of the normalisation engine as its specification writes it: from the moments (m, v) of every image and channel to the
coefficients A, B of Y = A X + B, and back from S1, S2 by the hand-derived gradient formulas, in float64. test_reference.py holds these
against autograd, so that specification and reference are known to say the same.
"""
import torch


class Formulas:
    """One layer. norm: a module of norms.py, whose values (not whose code) are used."""

    def __init__(self, norm, x):
        self.norm, self.spec, self.x = norm, norm.spec, x
        self.n, self.c, h, w = x.shape
        self.points = h * w
        rows = x.reshape(self.n, self.c, self.points)
        self.m = rows.mean(2)
        self.v = ((rows - self.m[:, :, None]) ** 2).mean(2)
        groups = max(g for g in range(1, min(self.c, self.spec["groups"]) + 1) if self.c % g == 0)
        self.size = {"in": 1, "ln": self.c, "gn": self.c // groups, "bn": self.n}

    def over(self, method, t):
        """t (N,C) summed over the set that a method averages over, spread to (N,C) again."""
        if method == "in":
            return t
        if method == "bn":
            return t.sum(0, keepdim=True).expand(self.n, self.c)
        size = self.size[method]
        return t.reshape(self.n, -1, size).sum(2, keepdim=True).expand(-1, -1, size).reshape(self.n, self.c)

    def forward(self):
        self.mu, self.var = [], []
        for method in self.norm.methods:
            mu = self.over(method, self.m) / self.size[method]
            self.mu.append(mu)
            self.var.append(self.over(method, self.v + (self.m - mu) ** 2) / self.size[method])
        self.mu, self.var = torch.stack(self.mu, 1), torch.stack(self.var, 1)  # (N,K,C)
        a, b = self.coefficients_sn() if self.spec["type"] == "sn" else self.coefficients_en()
        return a[:, :, None, None] * self.x + b[:, :, None, None]

    def coefficients_en(self):
        """en, and with K = 1 and lambda = 1 also bn, in, ln and gn."""
        spec, norm, k = self.spec, self.norm, len(self.norm.methods)
        self.sd = torch.sqrt(self.var + spec["eps"])
        self.gamma = norm.weight.detach().reshape(-1, self.c).expand(k, self.c)
        self.lam = torch.ones(self.n, 1, dtype=self.x.dtype)
        if spec["type"] == "en":
            ratio = norm.ratio
            self.ph = (self.m[:, None] - self.mu) / self.sd
            self.w = ratio.conv.weight.detach() if spec["conv"] else torch.ones(self.c, dtype=self.x.dtype)
            self.r = ratio.reduction
            self.z = (self.ph * self.w).reshape(self.n, k, self.c // self.r, self.r).sum(3)
            self.flat = torch.einsum("nkj,nlj->nkl", self.z, self.z).reshape(self.n, k * k)
            self.before = self.flat @ ratio.fc1.weight.detach().T + ratio.fc1.bias.detach()
            self.h = torch.tanh(self.before) if spec["activation"] == "tanh" else self.before.clamp(min=0)
            o = self.h @ ratio.fc2.weight.detach().T + ratio.fc2.bias.detach()
            e = torch.exp(o - o.max(1, keepdim=True).values)
            self.lam = e / e.sum(1, keepdim=True)
        lam = self.lam[:, :, None]
        a = (lam * self.gamma / self.sd).sum(1)
        shift = (lam * self.gamma * self.mu / self.sd).sum(1)
        beta = norm.bias.detach()
        self.beta_mixed = spec["shift"] != "outside"
        self.beta = beta.reshape(-1, self.c).expand(k, self.c)
        return a, ((lam * self.beta).sum(1) if self.beta_mixed else beta) - shift

    def coefficients_sn(self):
        norm = self.norm
        self.gamma = norm.weight.detach()
        self.a, self.av = (torch.softmax(t.detach(), 0)[None, :, None] for t in (norm.mean_weight, norm.var_weight))
        self.mean = (self.a * self.mu).sum(1)
        self.sd = torch.sqrt((self.av * self.var).sum(1) + self.spec["eps"])
        scale = self.gamma / self.sd
        return scale, norm.bias.detach() - scale * self.mean

    def backward(self, g):
        """g (N,C,H,W) -> gradients by parameter name, and that of x under "x"."""
        s1 = g.sum((2, 3))
        s2 = (g * (self.x - self.m[:, :, None, None])).sum((2, 3))
        grads, scale, dmu, dvar, dm = (self.backward_sn if self.spec["type"] == "sn" else self.backward_en)(s1, s2)
        dv = torch.zeros_like(dm)
        for k, method in enumerate(self.norm.methods):
            sum1, sum2 = self.over(method, dmu[:, k]), self.over(method, dvar[:, k])
            dm = dm + (sum1 + 2 * (self.m - self.mu[:, k]) * sum2) / self.size[method]
            dv = dv + sum2 / self.size[method]
        spread = [t[:, :, None, None] for t in (scale, dm, dv, self.m)]
        self.first_term = spread[0] * g  # kept: what cancels where the gradient of x is zero
        grads["x"] = self.first_term + spread[1] / self.points + 2 * spread[2] * (self.x - spread[3]) / self.points
        return grads

    def backward_en(self, s1, s2):
        spec, norm, grads = self.spec, self.norm, {}
        s1k = s1[:, None]
        t = (s2[:, None] + (self.m[:, None] - self.mu) * s1k) / self.sd
        lam = self.lam[:, :, None]
        dgamma, dbeta = (lam * t).sum(0), (lam * s1k).sum(0)
        shape = norm.weight.shape
        grads["weight"] = dgamma.sum(0) if len(shape) == 1 else dgamma
        grads["bias"] = s1.sum(0) if norm.bias.dim() == 1 else dbeta
        dph = torch.zeros_like(t)
        if spec["type"] == "en":
            ratio = norm.ratio
            dlam = (self.gamma * t + (self.beta * s1k if self.beta_mixed else 0)).sum(2)
            do = self.lam * (dlam - (self.lam * dlam).sum(1, keepdim=True))
            grads["ratio.fc2.weight"], grads["ratio.fc2.bias"] = do.T @ self.h, do.sum(0)
            dh = do @ ratio.fc2.weight.detach()
            dbefore = dh * (1 - self.h ** 2) if spec["activation"] == "tanh" else dh * (self.before > 0)
            grads["ratio.fc1.weight"], grads["ratio.fc1.bias"] = dbefore.T @ self.flat, dbefore.sum(0)
            dcorrelation = (dbefore @ ratio.fc1.weight.detach()).reshape(self.n, len(norm.methods), len(norm.methods))
            dz = (dcorrelation + dcorrelation.transpose(1, 2)) @ self.z
            dz = dz.repeat_interleave(self.r, dim=2)  # (N,K,C): j(c) of every c
            if spec["conv"]:
                grads["ratio.conv.weight"] = (dz * self.ph).sum((0, 1))
            dph = dz * self.w
        dmu = -lam * self.gamma * s1k / self.sd - dph / self.sd
        dvar = -0.5 * (lam * self.gamma * t + (dph * self.ph if spec["type"] == "en" else 0)) / self.sd ** 2
        return grads, (lam * self.gamma / self.sd).sum(1), dmu, dvar, (dph / self.sd).sum(1)

    def backward_sn(self, s1, s2):
        t = (s2 + (self.m - self.mean) * s1) / self.sd
        dmean, dvariance = -self.gamma * s1 / self.sd, -0.5 * self.gamma * t / self.sd ** 2
        grads = {"weight": t.sum(0), "bias": s1.sum(0)}
        for name, mixed, part, d in (("mean_weight", self.a, self.mu, dmean), ("var_weight", self.av, self.var, dvariance)):
            da, a = (d[:, None] * part).sum((0, 2)), mixed.flatten()
            grads[name] = a * (da - (a * da).sum())
        return grads, self.gamma / self.sd, self.a * dmean[:, None], self.av * dvariance[:, None], torch.zeros_like(s1)
