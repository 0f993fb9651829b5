/* Learning-rate schedules against their formulas. */
#include "check.h"

#include <math.h>

#include "train/lr.h"

static config base(config_schedule type) {
    config c = {0};
    c.train.iterations = 100;
    c.optimizer.lr = 0.5;
    c.schedule.type = type;
    c.schedule.power = 0.9;
    c.schedule.gamma = 0.1;
    return c;
}

static void poly(void **state) {
    (void)state;
    const config c = base(SCHEDULE_POLY);
    assert_near(lr_at(&c, 0), 0.5, 1e-12);
    assert_near(lr_at(&c, 25), 0.5 * pow(0.75, 0.9), 1e-12);
    assert_near(lr_at(&c, 99), 0.5 * pow(0.01, 0.9), 1e-12);
    assert_near(lr_at(&c, 100), 0.0, 1e-12);
}

static void step(void **state) {
    (void)state;
    config c = base(SCHEDULE_STEP);
    c.schedule.milestones = (config_list){2, {30, 60}};
    assert_near(lr_at(&c, 29), 0.5, 1e-12);
    assert_near(lr_at(&c, 30), 0.05, 1e-12);
    assert_near(lr_at(&c, 60), 0.005, 1e-12);
}

static void cosine_and_constant(void **state) {
    (void)state;
    const config c = base(SCHEDULE_COSINE), d = base(SCHEDULE_CONSTANT);
    assert_near(lr_at(&c, 0), 0.5, 1e-12);
    assert_near(lr_at(&c, 50), 0.25, 1e-12);
    assert_near(lr_at(&c, 100), 0.0, 1e-12);
    assert_near(lr_at(&d, 99), 0.5, 1e-12);
}

static void warm_up(void **state) {
    (void)state;
    config c = base(SCHEDULE_CONSTANT);
    c.schedule.warmup = 10;
    assert_near(lr_at(&c, 0), 0.05, 1e-12);
    assert_near(lr_at(&c, 8), 0.45, 1e-12);
    assert_near(lr_at(&c, 9), 0.5, 1e-12);
    assert_near(lr_at(&c, 10), 0.5, 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(poly), cmocka_unit_test(step), cmocka_unit_test(cosine_and_constant),
                                       cmocka_unit_test(warm_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
