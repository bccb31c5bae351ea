/* pprof_facts.h - what a profile.proto file has no field for. Private to the pprof writer
 * and reader.
 *
 * How the recording was made and what it lost are comments "cprof.<key>: <value>", which
 * are read back. How good the stacks are follows as comments for people, under the keys
 * of Profile.quality, and for each module "cprof.module: <name>: <key> <value>, ...";
 * these are not read back but counted again, as each sample keeps how its stack was found
 * in two labels. */
#ifndef CPROF_PPROF_FACTS_H
#define CPROF_PPROF_FACTS_H

#include "profile.h"

#define PPROF_LABEL_HOW "unwind"         /* "guessed", "spliced,guessed" ...*/
#define PPROF_LABEL_ADDED "unwind_added" /* outermost frames spliced or continued */
#define PPROF_UNIT_ADDED "frames"
#define PPROF_LABEL_TIME "timestamp_ns"

/* Call `each` with every fact that is known, until it fails; returns what it returned.
 * The text is borrowed for the call. 0, -ENOMEM or the error of `each`. */
int pprof_facts_each(const struct cprof_profile *p,
                     int (*each)(void *arg, const char *text), void *arg);

/* Put the fact that `comment` states back into `p`: 1 when it was one, 0 when it is an
 * ordinary comment (kept by the caller), or -ENOMEM. */
int pprof_facts_parse(struct cprof_profile *p, const char *comment);

#endif
