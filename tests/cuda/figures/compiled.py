"""What nvcc and NVIDIA's occupancy calculator say about the kernels."""

import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
GPUS = ("sm_80", "sm_90")
# Begun first, so that the others fill what time they leave.
SLOWEST = ("coefficients_backward.cu", "coefficients_forward.cu", "coefficients_gradients.cu")


@dataclass
class Kernel:
    file: str
    registers: int = 0
    shared: int = 0
    stack: int = 0
    spilled: int = 0


def find_nvcc():
    for folder in (None, os.environ.get("CUDA_HOME", "") + "/bin", "/usr/local/cuda/bin"):
        found = shutil.which("nvcc", path=folder)
        if found:
            return os.path.realpath(found)
    return None


def nvcc_version(nvcc):
    text = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"V(\d+\.\d+\.\d+)", text).group(1)


def demangled(text):
    return subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True).stdout


def short_name(signature):
    """A kernel as it is launched: without its result, its parameters and what the compiler adds."""
    name = signature.replace("(anonymous namespace)::", "").strip()
    name = re.sub(r"^void ", "", name)
    depth = 0
    for i, c in enumerate(name):
        depth += {"<": 1, ">": -1}.get(c, 0)
        if c == "(" and depth == 0:
            name = name[:i]
            break
    return re.sub(r"\s*>", ">", name.split(" [clone")[0])


def sources():
    return sorted(glob.glob(SOURCE + "/src/backend/cuda/*.cu"))


def declared():
    """Names of all kernels in the sources, without template arguments."""
    names = set()
    for path in glob.glob(SOURCE + "/src/backend/cuda/*.cu*"):
        with open(path) as f:
            text = re.sub(r"__launch_bounds__\((?:[^()]|\([^()]*\))*\)", "", f.read())
        names |= set(re.findall(r"__global__\s+void\s+(\w+)\s*\(", text))
    return names


def compile_one(nvcc, path, gpu):
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, "-std=c++20", "-I" + SOURCE + "/src", "-I" + SOURCE + "/include", "-arch=" + gpu, "-Xptxas", "-v", "-cubin",
                   "-o", folder + "/kernels.cubin", path]
        run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{path} for {gpu}: nvcc failed\n{run.stdout}{run.stderr}")
    kernels, name = {}, None
    for line in demangled(run.stdout + run.stderr).splitlines():
        entry = re.search(r"Compiling entry function '(.*)' for 'sm_", line)
        if entry:
            name = short_name(entry.group(1))
            kernels[name] = Kernel(os.path.basename(path))
        frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)
        if frame and name:
            kernels[name].stack, kernels[name].spilled = int(frame.group(1)), int(frame.group(2)) + int(frame.group(3))
        used = re.search(r"Used (\d+) registers", line)
        if used and name:
            shared = re.search(r"(\d+) bytes smem", line)
            kernels[name].registers, kernels[name].shared = int(used.group(1)), int(shared.group(1)) if shared else 0
    return kernels


def compile_all(nvcc, processes):
    """{gpu: {kernel: Kernel}}"""
    jobs = [(path, gpu) for path in sorted(sources(), key=lambda p: os.path.basename(p) not in SLOWEST) for gpu in GPUS]
    out = {gpu: {} for gpu in GPUS}
    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        for (path, gpu), kernels in zip(jobs, pool.map(lambda job: compile_one(nvcc, *job), jobs)):
            for name, kernel in kernels.items():
                if name in out[gpu] and out[gpu][name] != kernel:
                    name = f"{name} ({kernel.file})"
                out[gpu][name] = kernel
    return out


def occupancies(nvcc, questions):
    """questions: (gpu, registers, static shared, dynamic shared, threads); answers: (share of all threads, blocks, what limits)."""
    include = os.path.join(os.path.dirname(os.path.dirname(nvcc)), "include")
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["g++", "-std=c++20", "-O1", "-isystem", include, "-o", folder + "/occupancy", here + "/occupancy.cpp"], check=True)
        text = "".join("%s %d %d %d %d\n" % (gpu[3:], *rest) for gpu, *rest in questions)
        run = subprocess.run([folder + "/occupancy"], input=text, capture_output=True, text=True, check=True)
    out = []
    for line in run.stdout.splitlines():
        blocks, threads, most, limit = line.split()
        out.append((int(threads) / int(most), int(blocks), limit))
    if len(out) != len(questions):
        raise SystemExit("the occupancy calculator refused an answer")
    return out
