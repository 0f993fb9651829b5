/* HDF5 is thread-safe only where it was built so: whoever calls it while a loader may be reading holds this lock. It may be taken again by
 * its holder. */
#ifndef BASE_H5LOCK_H
#define BASE_H5LOCK_H

void h5_lock(void);
void h5_unlock(void);

#endif
