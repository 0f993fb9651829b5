/* The matrix as an HDF5 file: see confusion.h. */
#include "train/confusion.h"

#include "base/h5lock.h"
#include "base/hdf5_file.h"

static bool write_matrix(hid_t file, const int64_t *matrix, int classes) {
    const hsize_t dims[2] = {(hsize_t)classes, (hsize_t)classes};
    const hid_t space = H5Screate_simple(2, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t set = -1;
    if (space >= 0 && list >= 0 && H5Pset_obj_track_times(list, 0) >= 0)
        set = H5Dcreate2(file, "confusion", H5T_STD_I64LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool done = set >= 0 && H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, matrix) >= 0;
    if (set >= 0 && H5Dclose(set) < 0) done = false;
    if (list >= 0) (void)H5Pclose(list);
    if (space >= 0) (void)H5Sclose(space);
    return done;
}

static bool write_all(hid_t file, const int64_t *matrix, const metrics *m, const metrics_setting *setting, const shard_info *info) {
    return hdf5_put_texts(file, "classes", m->classes, SHARD_NAME, info->names[0]) && hdf5_put_double(file, "miou", m->miou) &&
           hdf5_put_double(file, "macc", m->macc) && hdf5_put_double(file, "aacc", m->aacc) &&
           hdf5_put_int64(file, "step", setting->step) && hdf5_put_int64(file, "images", setting->images) &&
           write_matrix(file, matrix, m->classes);
}

entrain_status confusion_write(const char *path, const int64_t *matrix, const metrics *m, const metrics_setting *setting,
                               const shard_info *info, entrain_error *err) {
    hdf5_file *f = NULL;
    h5_lock();
    entrain_status status = hdf5_create(path, &f, err);
    if (status == ENTRAIN_OK) status = write_all(f->id, matrix, m, setting, info) ? hdf5_commit(f, err) : hdf5_fail(f, err);
    h5_unlock();
    return status;
}
