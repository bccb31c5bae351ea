/* pprofs.h - profiles through the writer and back, for tests. */
#ifndef CPROF_TESTS_PPROFS_H
#define CPROF_TESTS_PPROFS_H

#include <zlib.h>

#include "pprof.h"
#include "profile.pb-c.h"
#include "profiles.h"
#include "test.h"
#include "view.h"

static inline const char *text(const struct cprof_profile *p, uint32_t string)
{
    return cprof_stacks_text(p->stacks, string);
}

static inline struct cprof_profile *round_trip_of(const struct cprof_profile *p,
                                                  bool has_times)
{
    struct cprof_profile *ret = NULL;
    struct cprof_error err = {0};
    uint8_t *bytes = NULL;
    size_t n = 0;

    CHECK_EQ(cprof_pprof_encode(p, has_times, &bytes, &n, &err), 0);
    CHECK_EQ(cprof_pprof_decode(bytes, n, "x", &ret, &err), 0);
    CHECK_STR(err.message, "");
    free(bytes);
    return ret;
}

static inline struct cprof_profile *round_trip(const struct cprof_profile *p)
{
    return round_trip_of(p, false);
}

/* The message inside a written profile. */
static inline Perftools__Profiles__Profile *message_of(const struct cprof_profile *p)
{
    static uint8_t plain[1 << 20];
    Perftools__Profiles__Profile *m;
    z_stream z = {0};
    uint8_t *bytes;
    size_t n;

    CHECK_EQ(cprof_pprof_encode(p, false, &bytes, &n, NULL), 0);
    CHECK(n > 2 && bytes[0] == 0x1f && bytes[1] == 0x8b);
    z.next_in = bytes;
    z.avail_in = (unsigned)n;
    z.next_out = plain;
    z.avail_out = sizeof(plain);
    CHECK_EQ(inflateInit2(&z, 31), Z_OK);
    CHECK_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
    CHECK_EQ(z.avail_in, 0); /* one gzip member and nothing after it */
    m = perftools__profiles__profile__unpack(NULL, z.total_out, plain);
    CHECK(m);
    inflateEnd(&z);
    free(bytes);
    return m;
}

/* Sums by function are equal, in order, name by name. */
static inline void check_same_sums(const struct cprof_profile *a,
                                   const struct cprof_profile *b)
{
    CHECK_EQ(a->n_types, b->n_types);
    for (size_t type = 0; type < a->n_types; type++) {
        struct cprof_frame_sum *in_a, *in_b;
        size_t n_a, n_b;
        CHECK_EQ(cprof_profile_total(a, type), cprof_profile_total(b, type));
        CHECK_EQ(cprof_view_functions(a, type, &in_a, &n_a), 0);
        CHECK_EQ(cprof_view_functions(b, type, &in_b, &n_b), 0);
        CHECK_EQ(n_a, n_b);
        for (size_t i = 0; i < n_a && i < n_b; i++) {
            CHECK_STR(text(a, in_a[i].frame.name), text(b, in_b[i].frame.name));
            CHECK_STR(text(a, in_a[i].frame.module), text(b, in_b[i].frame.module));
            CHECK_EQ(in_a[i].self, in_b[i].self);
            CHECK_EQ(in_a[i].total, in_b[i].total);
        }
        free(in_a);
        free(in_b);
    }
}

#endif
