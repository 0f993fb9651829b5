#include "train/lr.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

double lr_at(const config *c, int64_t finished) {
    const double t = (double)finished, total = (double)c->train.iterations;
    double lr = c->optimizer.lr;
    switch (c->schedule.type) {
    case SCHEDULE_POLY:
        lr *= pow(fmax(1.0 - t / total, 0.0), c->schedule.power);
        break;
    case SCHEDULE_STEP:
        for (int i = 0; i < c->schedule.milestones.count; i++)
            if (t >= c->schedule.milestones.values[i]) lr *= c->schedule.gamma;
        break;
    case SCHEDULE_COSINE:
        lr *= 0.5 * (1.0 + cos(PI * fmin(t / total, 1.0)));
        break;
    case SCHEDULE_CONSTANT:
        break;
    }
    if (finished < c->schedule.warmup) lr *= (t + 1.0) / (double)c->schedule.warmup;
    return lr;
}
