/* What only the whole configuration can tell. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/report.h"

/* Fill in what follows from other keys: norm.k and norm.methods of the types that use one method. */
void config_derive(config *c);
/* Rules about several keys at once. Those about a key with a mistake of its own are left out. */
void config_check(const config *c, config_report *r);

#endif
