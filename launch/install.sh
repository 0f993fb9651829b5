#!/usr/bin/env bash
# Install what entrain needs from Debian or Ubuntu packages: only what is missing, saying what, as root or through sudo.
# usage: launch/install.sh [--tests]     --tests: also what the tests use (cmocka, PyTorch, h5py, clang tools)
set -euo pipefail

packages=(build-essential cmake pkg-config git openmpi-bin libopenmpi-dev libhdf5-dev libcjson-dev libdnnl-dev libturbojpeg0-dev libjpeg-dev libpng-dev zlib1g-dev)
if [ "${1:-}" = "--tests" ]; then
    packages+=(libcmocka-dev clang clang-format clang-tidy cppcheck valgrind python3 python3-numpy python3-h5py python3-pil python3-torch python3-jsonschema)
fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "launch/install.sh: these packages are missing and there is no apt-get here: ${missing[*]}" >&2
    echo "Install their equivalents, then build with: cmake -B build && cmake --build build" >&2
    exit 2
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "launch/install.sh: these packages are missing: ${missing[*]}. Run as root: apt-get install ${missing[*]}" >&2
        exit 2
    fi
    as_root=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if ! "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" >/tmp/entrain-install.log 2>&1; then
    "${as_root[@]}" apt-get update >>/tmp/entrain-install.log 2>&1
    "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" >>/tmp/entrain-install.log 2>&1 || {
        echo "apt-get failed:" >&2
        tail -n 20 /tmp/entrain-install.log >&2
        exit 2
    }
fi
