"""Changes of an HDF5 file that leave it valid for the library: datasets and attributes of other types, shapes and storage."""

import h5py
import numpy as np

from damaged_files import overwrite, peek


def put(file, name, data=None, **options):
    """In place of what was there."""
    del file[name]
    if data is not None or options:
        file.create_dataset(name, data=data, **options)


def attribute(file, name, value, **options):
    del file.attrs[name]
    file.attrs.create(name, value, **options)


def swap(file, a, b):
    file.move(a, "away")
    file.move(b, a)
    file.move("away", b)


def exchange(file, name, i, j):
    values = file[name][()]
    values[[i, j]] = values[[j, i]]
    put(file, name, values)


def change(file, name, index, value):
    values = file[name][()]
    values[index] = value
    put(file, name, values)


def link(file, name, target):
    del file[name]
    file[name] = target


def virtual(file, name):
    shape, dtype = file[name].shape, file[name].dtype
    layout = h5py.VirtualLayout(shape, dtype)
    layout[:] = h5py.VirtualSource("nowhere.h5", "data", shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def null(file, name):
    """A dataset without values."""
    del file[name]
    file[name] = h5py.Empty(np.uint8)


def compound(file, name):
    values = file[name][()]
    pairs = np.zeros(values.shape, [("a", "<i4"), ("b", "<i4")])
    put(file, name, pairs)


def group_instead(file, name):
    del file[name]
    file.create_group(name)


def type_instead(file, name):
    del file[name]
    file[name] = np.dtype("<i4")


def chunked(file, name):
    """Other storage than the packer's, with a filter, then a broken stream in its only chunk."""
    put(file, name, file[name][()], chunks=True, compression="gzip")
    where = file[name].id.get_chunk_info(0)
    middle = where.byte_offset + where.size // 2
    path = file.filename
    file.close()
    overwrite(path, middle, bytes(b ^ 0x5A for b in peek(path, middle, 4)))


def any_dataset(name):
    yield "deleted", lambda f: put(f, name)
    yield "a group", lambda f: group_instead(f, name)
    yield "a named type", lambda f: type_instead(f, name)
    yield "without values", lambda f: null(f, name)
    yield "one longer", lambda f: put(f, name, np.resize(f[name][()], len(f[name]) + 1))
    yield "one shorter", lambda f: put(f, name, f[name][:-1])
    yield "empty", lambda f: put(f, name, f[name][:0])
    yield "of rank 2", lambda f: put(f, name, f[name][()].reshape(1, -1))
    yield "of rank 0", lambda f: put(f, name, f[name][0])
    yield "pairs", lambda f: compound(f, name)
    yield "texts", lambda f: put(f, name, np.full(len(f[name]), b""))
    yield "texts of variable length", lambda f: put(f, name, ["x"] * len(f[name]), dtype=h5py.string_dtype())
    yield "lists", lambda f: put(f, name, shape=(len(f[name]),), dtype=h5py.vlen_dtype(np.int32))
    yield "never written", lambda f: put(f, name, shape=f[name].shape, dtype=f[name].dtype)
    yield "2^40 elements, none stored", lambda f: put(f, name, shape=(1 << 40,), dtype=f[name].dtype, chunks=(1 << 16,))
    yield "2^31 elements, none stored", lambda f: put(f, name, shape=(1 << 31,), dtype=f[name].dtype, chunks=(1 << 16,))
    yield "a link to nothing", lambda f: link(f, name, h5py.SoftLink("/nothing"))
    yield "a link to itself", lambda f: link(f, name, h5py.SoftLink("/" + name))
    yield "a link into another file", lambda f: link(f, name, h5py.ExternalLink("nowhere.h5", "/" + name))
    yield "a link to the group", lambda f: link(f, name, h5py.SoftLink("/images"))
    yield "put together from another file", lambda f: virtual(f, name)
    yield "compressed, the stream broken", lambda f: chunked(f, name)


def numbers_of(name):
    yield "floats", lambda f: put(f, name, f[name][()].astype(float))
    yield "not a number", lambda f: put(f, name, np.full(len(f[name]), np.nan))


def any_attribute(name):
    yield "missing", lambda f: f.attrs.__delitem__(name)
    yield "without value", lambda f: attribute(f, name, h5py.Empty(np.int64))
    yield "60000 characters", lambda f: attribute(f, name, np.bytes_(b"x" * 60000))
    yield "a text of variable length", lambda f: attribute(f, name, "x" * 100)
    yield "five numbers", lambda f: attribute(f, name, np.arange(5))
    yield "not a number", lambda f: attribute(f, name, np.float64("nan"))
    yield "pairs", lambda f: attribute(f, name, np.zeros(1, [("a", "<i4"), ("b", "<f8")]))
    yield "a reference", lambda f: attribute(f, name, f["images"].ref, dtype=h5py.ref_dtype)
