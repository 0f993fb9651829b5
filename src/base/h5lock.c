#include "base/h5lock.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void h5_lock(void) {
    (void)pthread_mutex_lock(&lock);
}

void h5_unlock(void) {
    (void)pthread_mutex_unlock(&lock);
}
