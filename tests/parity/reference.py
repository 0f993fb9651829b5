"""
The segmentation networks of entrain in plain PyTorch: torchvision's ResNets with any normaliser, DeepLab v2 and FCN heads, loss and SGD.
State dict names and shapes are those of a checkpoint's /model, so that one is loaded by name and every difference is an error.
"""
import json

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from norms import make_norm

IGNORE = 255
BLOCKS = {"resnet18": (False, [2, 2, 2, 2]), "resnet34": (False, [3, 4, 6, 3]), "resnet50": (True, [3, 4, 6, 3]),
          "resnet101": (True, [3, 4, 23, 3])}


def conv3x3(inputs, outputs, stride=1, dilation=1, bias=False):
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, bias=bias)


class Block(nn.Module):
    """torchvision's BasicBlock or, with bottleneck, its Bottleneck (stride on the 3x3)."""

    def __init__(self, inputs, width, stride, dilation, bottleneck, norm):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), norm(width)
            self.conv2, self.bn2 = conv3x3(width, width, stride, dilation), norm(width)
            self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), norm(outputs)
        else:
            self.conv1, self.bn1 = conv3x3(inputs, width, stride, dilation), norm(width)
            self.conv2, self.bn2 = conv3x3(width, width, 1, dilation), norm(width)
        self.bottleneck, self.relu, self.downsample = bottleneck, nn.ReLU(), None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            x = self.bn3(self.conv3(self.relu(x)))
        x += shortcut
        return self.relu(x)


class ResNet(nn.Module):
    """Gives the outputs of layer3 and layer4. Where a stage would go below the output stride its stride becomes dilation."""

    def __init__(self, name, output_stride, norm):
        super().__init__()
        bottleneck, counts = BLOCKS[name]
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), norm(64)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
        inputs, reached, dilation = 64, 4, 1
        for stage, count in enumerate(counts):
            width, stride, first_dilation = 64 << stage, 1 if stage == 0 else 2, dilation
            if reached * stride > output_stride:
                dilation, stride = dilation * stride, 1
            reached *= stride
            layer = []
            for index in range(count):
                layer.append(Block(inputs, width, stride if index == 0 else 1, first_dilation if index == 0 else dilation,
                                   bottleneck, norm))
                inputs = 4 * width if bottleneck else width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.channels = (inputs // 2, inputs)  # of layer3 and layer4

    def forward(self, x):
        x = self.layer2(self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x))))))
        layer3 = self.layer3(x)
        return layer3, self.layer4(layer3)


class DeepLabV2(nn.Module):
    def __init__(self, inputs, classes, output_stride):
        super().__init__()
        rates = [max(1, rate * 8 // output_stride) for rate in (6, 12, 18, 24)]
        self.convs = nn.ModuleList(conv3x3(inputs, classes, dilation=rate, bias=True) for rate in rates)

    def forward(self, x):
        return sum(conv(x) for conv in self.convs)


def fcn(inputs, classes, norm, dropout):
    return nn.Sequential(conv3x3(inputs, inputs // 4), norm(inputs // 4), nn.ReLU(), nn.Dropout(dropout),
                         nn.Conv2d(inputs // 4, classes, 1))


class Network(nn.Module):
    """config: the resolved configuration as a dictionary. make_norm(channels, config["norm"]) gives a normalisation layer."""

    def __init__(self, config, classes, make_norm=make_norm):
        super().__init__()
        model, norm_spec = config["model"], config["norm"]

        def norm(channels):
            return make_norm(channels, norm_spec)

        self.backbone = ResNet(model["backbone"], model["output_stride"], norm)
        layer3, layer4 = self.backbone.channels
        if model["head"] == "deeplab_v2":
            self.head = DeepLabV2(layer4, classes, model["output_stride"])
        elif model["head"] == "fcn":
            self.head = fcn(layer4, classes, norm, model["dropout"])
        else:
            raise ValueError(f"no reference for model.head {model['head']}")
        self.aux = fcn(layer3, classes, norm, model["dropout"]) if model["aux_weight"] > 0 else None

    def forward(self, x):
        """x (N,3,H,W) -> logits (N,classes,h,w) of head and auxiliary head (None without) at output-stride resolution."""
        layer3, layer4 = self.backbone(x)
        return self.head(layer4), None if self.aux is None else self.aux(layer3)


def upsample(logits, size):
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def loss_of(network, config, x, labels):
    """Weighted cross-entropies of the valid pixels over their number, plus aux_weight times that of the auxiliary head."""
    weights = config["train"].get("class_weights")
    weights = torch.tensor(weights, dtype=x.dtype) if weights else None
    valid = (labels != IGNORE).sum()

    def one(logits):
        full = upsample(logits, labels.shape[-2:])
        return F.cross_entropy(full, labels, weight=weights, ignore_index=IGNORE, reduction="sum") / valid

    logits, aux = network(x)
    return one(logits) if aux is None else one(logits) + config["model"]["aux_weight"] * one(aux)


def sgd(network, config, **options):
    """
    PyTorch's own SGD; options go to it as they are. Weight decay on convolutions only; norm parameters and all biases take it where
    decay_norm says so.
    """
    o = config["optimizer"]
    convolutions = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    groups = []
    for name, parameter in network.named_parameters():
        head = name.startswith(("head.", "aux."))
        groups.append({"params": [parameter], "lr": o["lr"] * (o["head_lr_multiplier"] if head else 1),
                       "weight_decay": o["weight_decay"] if name in convolutions or o["decay_norm"] else 0})
    return torch.optim.SGD(groups, lr=o["lr"], momentum=o["momentum"], nesterov=o["nesterov"], **options)


def pixels_to_input(images, config, dtype):
    """images: uint8 (N,H,W,3) -> (N,3,H,W), normalised by data.mean and data.std."""
    x = torch.from_numpy(np.ascontiguousarray(images)).to(dtype) / 255
    mean, std = (torch.tensor(config["data"][key], dtype=dtype) for key in ("mean", "std"))
    return ((x - mean) / std).permute(0, 3, 1, 2).contiguous()


def read_group(path, group):
    """All tensors below an HDF5 group, by their name."""
    import h5py  # here and below: the networks alone do not need it
    tensors = {}
    with h5py.File(path, "r") as file:
        if group not in file:
            raise KeyError(f"{path} has no group {group}")
        file[group].visititems(lambda name, item: tensors.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return tensors


def read_config(path):
    import h5py
    with h5py.File(path, "r") as file:
        return json.loads(file.attrs["config"])


def fill(network, tensors):
    """Give the network a checkpoint's values; a name or shape that only one side has is an error."""
    own = network.state_dict()
    wrong = [f"only in the file: {name}" for name in sorted(tensors.keys() - own.keys())]
    wrong += [f"only in the reference: {name}" for name in sorted(own.keys() - tensors.keys())]
    wrong += [f"{name}: {tensors[name].shape} in the file, {tuple(own[name].shape)} in the reference"
              for name in own.keys() & tensors.keys() if tensors[name].shape != tuple(own[name].shape)]
    if wrong:
        raise ValueError("the checkpoint does not fit the reference:\n  " + "\n  ".join(wrong))
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    return network


def make_network(config, tensors, dtype):
    """A network of the configuration with these values; the number of classes is that of the head's last bias."""
    last = "head.4.bias" if config["model"]["head"] == "fcn" else "head.convs.0.bias"
    return fill(Network(config, len(tensors[last])).to(dtype), tensors)
