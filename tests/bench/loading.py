"""
Loading of training images: entrain's loader beside PyTorch's DataLoader, in turn, on the samples of CamVid and ADE20K.
  loading.py [--data DIR] [--build DIR] [--workers N] [--batch N] [--seconds S] [--rounds N] [--only TEXT]
Both sides deliver shuffled batches of normalised float images and their label maps, after the same augmentation: random scale 0.5 to 2
(bilinear), random crop with padding, flip, and where a row says so the photometric distortion of mmsegmentation. A Markdown table comes
out: images per second, their ratio round by round, and the processor time of decoding in that of the whole path.
"""
import argparse
import glob
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..", "..")
REPEAT = 16  # of the few ADE20K samples, so that an epoch is long
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CASES = (("CamVid", "camvid", (360, 480)), ("CamVid", "camvid", (180, 240)), ("ADE20K samples", "ade20k", (450, 450)),
         ("ADE20K samples", "ade20k", (512, 512)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n  loading.py")[0])
    parser.add_argument("--data", default=os.environ.get("ENTRAIN_DATA", os.path.join(SOURCE, "..", "shared", "data")))
    parser.add_argument("--build", default=os.path.join(SOURCE, "build"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement, after a warm start")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose line contains this")
    return parser.parse_args()


# ---- PyTorch's side ----

def lookup(factor, add):
    return [max(0, min(255, round(i * factor + add))) for i in range(256)]


def distort(image):
    """mmsegmentation's order; through Pillow's tables and its HSV, which is several times faster than float arrays in numpy."""
    def contrast(im):
        return im.point(lookup(random.uniform(0.5, 1.5), 0) * 3) if random.randrange(2) else im
    if random.randrange(2):
        image = image.point(lookup(1, random.uniform(-32, 32)) * 3)
    first = random.randrange(2)
    if first:
        image = contrast(image)
    saturation = lookup(random.uniform(0.5, 1.5), 0) if random.randrange(2) else None
    turn = round(random.uniform(-18, 18) * 256 / 180) if random.randrange(2) else None
    if saturation is not None or turn is not None:
        same = list(range(256))
        hue = [(i + turn) % 256 for i in range(256)] if turn is not None else same
        image = image.convert("HSV").point(hue + (saturation or same) + same).convert("RGB")
    return image if first else contrast(image)


def place(size, crop):
    """Where the crop begins in the picture, and the picture in the crop."""
    at = random.randint(0, abs(size - crop))
    return (at, 0) if size > crop else (0, at)


class Images:
    def __init__(self, pairs, crop, photometric, to_label):
        self.pairs, self.crop, self.photometric, self.to_label = pairs, crop, photometric, to_label

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        import numpy as np
        import torch
        from PIL import Image
        image, label = (Image.open(path) for path in self.pairs[index])
        image = image.convert("RGB")
        scale = random.uniform(0.5, 2.0)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image, label = image.resize(size, Image.BILINEAR), label.resize(size, Image.NEAREST)
        h, w = self.crop
        (left, x), (top, y) = place(size[0], w), place(size[1], h)
        box = left, top, left + min(size[0], w), top + min(size[1], h)
        image, label = image.crop(box), label.crop(box)
        if random.randrange(2):
            image, label = image.transpose(Image.FLIP_LEFT_RIGHT), label.transpose(Image.FLIP_LEFT_RIGHT)
            x = w - x - image.width
        if self.photometric:
            image = distort(image)
        labels = self.to_label[np.asarray(label)] if self.to_label is not None else np.asarray(label)
        if image.size != (w, h):
            canvas = Image.new("RGB", (w, h), tuple(int(255 * m + 0.5) for m in MEAN))
            canvas.paste(image, (x, y))
            padded = np.full((h, w), 255, np.uint8)
            padded[y:y + image.height, x:x + image.width] = labels
            image, labels = canvas, padded
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div_(255)
        tensor.sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1))
        return tensor, torch.from_numpy(np.ascontiguousarray(labels))


def start_worker(index):
    import torch
    torch.set_num_threads(1)
    random.seed(index)


def batches(loader):
    while True:
        yield from loader


def children():
    with open("/proc/self/task/%d/children" % os.getpid()) as file:
        return set(map(int, file.read().split()))


def seconds_of(pids):
    """Processor time of processes, all their threads."""
    ticks = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as file:
            ticks += sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def pytorch_rate(dataset, options):
    """Images per second, and processor time of one in ms."""
    import torch
    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(dataset, batch_size=options.batch, shuffle=True, num_workers=options.workers, drop_last=True,
                                         persistent_workers=True, worker_init_fn=start_worker)
    before = children()
    source = batches(loader)
    begin = time.perf_counter()
    while time.perf_counter() - begin < 1.5:
        next(source)
    pids = [os.getpid(), *(children() - before)]
    images, begin, cpu_begin = 0, time.perf_counter(), seconds_of(pids)
    while time.perf_counter() - begin < options.seconds:
        images += len(next(source)[0])
    rate = images / (time.perf_counter() - begin), 1e3 * (seconds_of(pids) - cpu_begin) / images
    del source, loader
    return rate


# ---- entrain's side ----

def entrain_rate(shards, crop, photometric, options):
    command = [os.path.join(options.build, "tests", "bench_loading"), shards, "--crop", "%dx%d" % crop, "--workers", str(options.workers),
               "--batch", str(options.batch), "--seconds", str(options.seconds)] + ["--photometric"] * photometric
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def pack(name, root, out, options):
    program = os.path.join(options.build, "entrain")
    known = subprocess.run([program, "pack", "--help"], stdout=subprocess.PIPE, check=True).stdout.decode()
    if " %s " % name not in known:
        return False
    command = [program, "pack", name, "--root", root, "--split", "train", "--out", out]
    return subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


def write_shard(pairs, folder, to_label):
    """One shard by hand, from the README's description of the format."""
    import h5py
    import numpy as np
    from PIL import Image
    os.makedirs(folder)
    images, labels, sizes = [], [], []
    for image, label in pairs:
        array, buffer = to_label[np.array(Image.open(label))], io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG")
        with open(image, "rb") as file:
            images.append(file.read())
        labels.append(buffer.getvalue())
        sizes.append(array.shape)
    with h5py.File(os.path.join(folder, "train-00000-of-00001.h5"), "w") as file:
        for group, parts in (("images", images), ("labels", labels)):
            file[group + "/bytes"] = np.frombuffer(b"".join(parts), np.uint8)
            file[group + "/offset"] = np.cumsum([0] + [len(part) for part in parts]).astype(np.uint64)
        file["height"], file["width"] = np.array(sizes, np.int32).T
        file["id"] = np.array([b"%d" % i for i in range(len(pairs))], "S128")
        file["crc32"] = np.array([zlib.crc32(b, zlib.crc32(a)) for a, b in zip(images, labels)], np.uint32)
        texts = {"dataset": "ade20k", "split": "train", "task": "segmentation"}
        numbers = {"format_version": 1, "ignore": 255, "samples_total": len(pairs), "shard": 0, "shards": 1}
        for key, value in [*texts.items(), *((key, np.int64(value)) for key, value in numbers.items())]:
            file.attrs[key] = value
        file.attrs["classes"] = np.array([b"class %d" % i for i in range(150)], "S64")
        file.attrs["colors"], file.attrs["export_ids"] = np.zeros((150, 3), np.uint8), np.zeros(256, np.uint8)


def camvid(options, work):
    """Pairs of files, their mapping of labels, and the folder of shards."""
    import numpy as np
    root = os.path.join(options.data, "camvid")
    pairs = [(path, path.replace("/train/", "/trainannot/")) for path in sorted(glob.glob(os.path.join(root, "train", "*.png")))]
    mapping = np.arange(256, dtype=np.uint8)
    mapping[11] = 255
    if not pairs or not pack("camvid", root, os.path.join(work, "camvid"), options):
        sys.exit("CamVid cannot be packed from %s" % root)
    return pairs, mapping, os.path.join(work, "camvid")


def ade20k(options, work):
    """The samples of both splits as one training set, each several times: linked under further names."""
    import numpy as np
    root, linked = os.path.join(options.data, "ade20k"), os.path.join(work, "source")
    for part in ("images", "annotations"):
        os.makedirs(os.path.join(linked, part, "training"))
    pairs = []
    for image in sorted(glob.glob(os.path.join(root, "images", "*", "*.jpg"))):
        label = image.replace("/images/", "/annotations/")[:-3] + "png"
        for copy in range(REPEAT):
            name = "%s_%02d" % (os.path.basename(image)[:-4], copy)
            pairs.append((os.path.join(linked, "images", "training", name + ".jpg"),
                          os.path.join(linked, "annotations", "training", name + ".png")))
            os.symlink(os.path.abspath(image), pairs[-1][0])
            os.symlink(os.path.abspath(label), pairs[-1][1])
    mapping = np.full(256, 255, np.uint8)
    mapping[1:151] = np.arange(150)
    shards = os.path.join(work, "ade20k")
    if not pack("ade20k", linked, shards, options):
        shutil.rmtree(shards, ignore_errors=True)
        write_shard(pairs, shards, mapping)
    return pairs, mapping, shards


# ---- the table ----

TEXT = """# Loading, measured

Made by `python3 tests/bench/loading.py --seconds %g --rounds %d > tests/bench/LOADING.md`, not by hand.

entrain's loader beside PyTorch's `DataLoader`, in turn, in one run; a ratio is of one round, and the figure is the median of the rounds with
smallest and largest in brackets. Both sides have the same files (CamVid's `train`; the ADE20K samples, each %d times, so that an epoch is
long), %d workers, batches of %d, a new order each epoch, and a warm start: worker threads here, persistent worker processes there, files in
the system's cache. The result is the same: batches of normalised float images with their label maps, after scaling by 0.5 to 2 (bilinear;
labels nearest), a random crop, padding, flip, and where the row says so the photometric distortion of mmsegmentation.

- PyTorch: Pillow decodes, resizes the whole picture, crops, pads and flips. The distortion goes through Pillow's lookup tables and its HSV,
  which is several times faster than the usual arrays of floats. One thread per worker; images become tensors and are normalised there.
- entrain: the loader's batches of bytes, normalised by the CPU backend on one thread, as a training step on the CPU does it.
- *whole path*: processor time of all threads per image, reading and normalising with it. *decoding in it*: of what the loader decodes of
  image and label map, by itself, on as many threads. *whole images*: of decoding all of both with the same decoder. The goals are a ratio
  of 3 and 70 %% for either share; above 100 %%, the whole path costs less than it would to decode all that is stored.
- *PyTorch, ms*: processor time of its processes per image, and how much more that is than entrain's whole path. Images per second depend on
  what else the machine does meanwhile (load %.1f when this began), processor time hardly does.

%s, %d CPUs; PyTorch %s with Pillow's own bilinear filter, which smooths where it makes smaller.

| | entrain, images/s | PyTorch, images/s | ratio | PyTorch, ms | ratio to entrain | whole path, ms | decoding in it, ms | share | whole images, ms | share |
|---|---|---|---|---|---|---|---|---|---|---|"""


def processor():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else "a processor"


def spread(values, form="%.2f"):
    return (form + " (" + form + " .. " + form + ")") % (statistics.median(values), min(values), max(values))


def measure(case, photometric, source, options):
    name, _, crop = case
    pairs, mapping, shards = source
    dataset = Images(pairs, crop, photometric, mapping)
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(entrain_rate(shards, crop, photometric, options))
        theirs.append(pytorch_rate(dataset, options))
    ms = {key: statistics.median(o[key] for o in ours) for key in ("loader_ms", "whole_ms", "part_ms")}
    print("| %s, %dx%d%s | %.0f | %.0f | %s | %.2f | %.2f | %.2f | %.2f | %.0f %% | %.2f | %.0f %% |" %
          (name, *crop, ", photometric" if photometric else "", statistics.median(o["loader"] for o in ours),
           statistics.median(t[0] for t in theirs),
           spread([o["loader"] / t[0] for o, t in zip(ours, theirs)]), statistics.median(t[1] for t in theirs),
           statistics.median(t[1] / o["loader_ms"] for o, t in zip(ours, theirs)), ms["loader_ms"], ms["part_ms"],
           100 * ms["part_ms"] / ms["loader_ms"], ms["whole_ms"], 100 * ms["whole_ms"] / ms["loader_ms"]), flush=True)


def main():
    options = arguments()
    try:
        import torch
    except ImportError:
        print("loading.py needs PyTorch, numpy, Pillow and h5py: run it with the Python that has them", file=sys.stderr)
        return 77
    print(TEXT % (options.seconds, options.rounds, REPEAT, options.workers, options.batch, os.getloadavg()[0], processor(),
                  len(os.sched_getaffinity(0)), torch.__version__))
    sources = {}
    with tempfile.TemporaryDirectory(prefix="entrain-loading-") as work:
        for case in CASES:
            for photometric in (False, True):
                line = "%s %dx%d %s" % (case[1], *case[2], "photometric" if photometric else "plain")
                if options.only not in line:
                    continue
                if case[1] not in sources:
                    sources[case[1]] = globals()[case[1]](options, work)
                measure(case, photometric, sources[case[1]], options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
