/* pprof_facts.h - what a profile.proto file has no field for (how the recording was made,
 * what it lost) as comments "cprof.<key>: <value>". Private to the pprof writer and
 * reader. */
#ifndef CPROF_PPROF_FACTS_H
#define CPROF_PPROF_FACTS_H

#include "profile.h"

/* Call `each` with every fact that is known, until it fails; returns what it returned.
 * The text is borrowed for the call. 0, -ENOMEM or the error of `each`. */
int pprof_facts_each(const struct cprof_profile *p,
                     int (*each)(void *arg, const char *text), void *arg);

/* Put the fact that `comment` states back into `p`: 1 when it was one, 0 when it is an
 * ordinary comment (kept by the caller), or -ENOMEM. */
int pprof_facts_parse(struct cprof_profile *p, const char *comment);

#endif
