"""The least that each operation can move, in words and in bytes, and a size that it has in training."""

from dataclasses import dataclass

MAP = ("16x97x97x512", 16 * 97 * 97 * 512)
IMAGES = ("16x769x769x3", 16 * 769 * 769 * 3)
STEM = ("16x385x385x64 to 16x193x193x64", 16 * 385 * 385 * 64)
TOP = ("16x97x97x2048", 16 * 97 * 97 * 2048)
PARAMETERS = ("40 million parameters", 40_000_000)
LABELS = ("16x97x97x19, labels 16x769x769", 16 * 769 * 769)

ENGINE = ("{0} forward, ReLU", "{0} backward, ReLU", "{0} forward, ReLU, residual", "{0} backward, ReLU, residual")


@dataclass
class Minimum:
    words: str
    each: object  # bytes for one element, from the size of the type
    real: tuple


def engine(layer):
    forward, backward, forward_added, backward_added = (name.format(layer) for name in ENGINE)
    return {
        forward: Minimum("x read twice, y written once", lambda e: 3 * e, MAP),
        backward: Minimum("dy and x read twice, dx written once", lambda e: 5 * e, MAP),
        forward_added: Minimum("x read twice, the residual once, y written once", lambda e: 4 * e, MAP),
        backward_added: Minimum("dy, x and y (for the mask) read twice, dx and the residual's gradient written once", lambda e: 8 * e, MAP),
    }


POOLED = 33 * 33 / (65 * 65)  # outputs an input of the shape that is counted
LOGITS, LOGITS_ALONE = 33 * 33 * 19 / (257 * 257), 17 * 17 * 19 / (129 * 129)  # logits a label pixel

MINIMA = {
    **engine("en (in, ln, bn)"),
    **engine("sn (in, ln, bn)"),
    **engine("bn"),
    **engine("gn"),
    "add of two": Minimum("both read, the sum written", lambda e: 3 * e, MAP),
    "accumulate": Minimum("x and y read, y written", lambda e: 3 * e, MAP),
    "relu_forward": Minimum("x read, y written", lambda e: 2 * e, MAP),
    "relu_backward": Minimum("dy and y read, dx written", lambda e: 3 * e, MAP),
    "scale": Minimum("x read and written", lambda e: 2 * e, MAP),
    "find_nonfinite": Minimum("x read", lambda e: e, MAP),
    "dropout": Minimum("x read, y written; no mask is stored", lambda e: 2 * e, MAP),
    "convert to bfloat16": Minimum("float32 read, bfloat16 written", lambda e: 6, MAP),
    "convert to float32": Minimum("bfloat16 read, float32 written", lambda e: 6, MAP),
    "normalise": Minimum("a byte read, y written", lambda e: 1 + e, IMAGES),
    "sum_squares": Minimum("g read", lambda e: 4, PARAMETERS),
    "sgd": Minimum("w, g and v read, w and v written", lambda e: 20, PARAMETERS),
    "weights_pack, 3x3": Minimum("float32 read, the type written", lambda e: 4 + e, ("512x512x3x3", 512 * 512 * 9)),
    "weights_unpack, 3x3": Minimum("the type read, float32 written", lambda e: 4 + e, ("512x512x3x3", 512 * 512 * 9)),
    "weights_pack, 7x7": Minimum("float32 read, the type written", lambda e: 4 + e, ("64x3x7x7", 64 * 3 * 49)),
    "weights_unpack, 7x7": Minimum("the type read, float32 written", lambda e: 4 + e, ("64x3x7x7", 64 * 3 * 49)),
    "bias of a convolution": Minimum("y read and written", lambda e: 2 * e, MAP),
    "bias' gradient": Minimum("dy read", lambda e: e, MAP),
    "maxpool_forward, 3x3, stride 2": Minimum("x read, y and a byte for its winner written", lambda e: e + POOLED * (e + 1), STEM),
    "maxpool_backward, 3x3, stride 2": Minimum("dy and its winner's byte read, dx written", lambda e: e + POOLED * (e + 1), STEM),
    "global_pool_forward": Minimum("x read", lambda e: e, TOP),
    "global_pool_backward": Minimum("dx written", lambda e: e, TOP),
    "resize_forward, twice as large": Minimum(
        "x read, y written", lambda e: 4 + 4 * 33**2 / 65**2, ("16x97x97x256 to 16x193x193x256", 16 * 193 * 193 * 256)
    ),
    "resize_backward, twice as large": Minimum(
        "dy read, dx written", lambda e: 4 + 4 * 33**2 / 65**2, ("16x193x193x256 to 16x97x97x256", 16 * 193 * 193 * 256)
    ),
    "resize_forward, from 1x1": Minimum("y written", lambda e: 4, ("16x1x1x256 to 16x97x97x256", 16 * 97 * 97 * 256)),
    "resize_backward, from 1x1": Minimum("dy read", lambda e: 4, ("16x97x97x256 to 16x1x1x256", 16 * 97 * 97 * 256)),
    "resize_forward, 19 channels": Minimum(
        "x read, y written", lambda e: 4 + 4 * 17**2 / 65**2, ("16x193x193x19 to 16x769x769x19", 16 * 769 * 769 * 19)
    ),
    "resize_backward, 19 channels": Minimum(
        "dy read, dx written", lambda e: 4 + 4 * 17**2 / 65**2, ("16x769x769x19 to 16x193x193x19", 16 * 769 * 769 * 19)
    ),
    "upsample_loss with gradient": Minimum(
        "logits and labels read, the logits' gradient written", lambda e: 1 + LOGITS * (4 + e), LABELS
    ),
    "upsample_loss alone": Minimum("logits and labels read", lambda e: 1 + 4 * LOGITS_ALONE, LABELS),
}

# Why an operation moves more than MOST times its minimum by one of the two counts that stand for memory (blocks, distinct).
MOST = 1.15
REASONS = {
    "maxpool_forward": (
        "A block makes one row of outputs. Windows of neighbouring rows share an input row, which both blocks read; they run at about "
        "the same time, so the second read comes from the L2 cache. Distinct bytes are the minimum."
    ),
    "maxpool_backward": (
        "A block makes one row of inputs, and up to two rows of windows reach it, so each row of dy and of winners is read by two or "
        "three blocks, all but the first from the L2 cache. Distinct bytes are the minimum."
    ),
    "resize_forward": (
        "Each output reads its four neighbours. Blocks make one row of outputs each, and the rows between the same two rows of inputs "
        "read them again, from the L2 cache. Distinct bytes are the minimum."
    ),
    "resize_backward": (
        "Each output gradient belongs to up to four inputs. A block takes a few inputs of one row, so gradients are read again by "
        "blocks beside and below, from the L2 cache. Distinct bytes are the minimum."
    ),
    "upsample_loss with": (
        "The first kernel leaves 8 bytes a label pixel (the largest logit, and the class weight over the softmax's sum) which the "
        "second reads: 16 of the distinct bytes. What they save is the map of logits at the labels' size, which is never stored: 76 "
        "bytes a label pixel to write, and as many to read. The second kernel's blocks take up to eight logits pixels of one row and "
        "read the label pixels above and below that row and beside its ends, so each is read 2.2 times, and logits of three rows: all "
        "but the first from the L2 cache. Nineteen classes take 57 exponentials a label pixel, so arithmetic is more likely than memory"
        " to be what both kernels wait for."
    ),
    "upsample_loss alone": (
        "A block takes a strip of one row of cells and copies the logits above and below it: each logits pixel is read by two rows of "
        "blocks and where strips meet, from the L2 cache. Distinct bytes are the minimum."
    ),
}


def reason(name):
    for start, text in REASONS.items():
        if name.startswith(start):
            return text
    return None
