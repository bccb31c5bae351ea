/* demangle_internal.h - between demangle.c and demangle_rust.c. */
#ifndef CPROF_DEMANGLE_INTERNAL_H
#define CPROF_DEMANGLE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "demangle.h"

/* A mangled name of 1 KiB can stand for gigabytes: what is longer than this is refused.
 */
enum { CPROF_DEMANGLED_MAX = 60 * 1024 };

/* Text that grows at its end. The first error stays: -ENOMEM or -EOVERFLOW. */
struct cprof_text {
    char *data; /* ends in a NUL once something was added; owned, from malloc */
    size_t n, capacity;
    int r;
};
void cprof_text_add(struct cprof_text *text, const char *bytes, size_t n);
void cprof_text_put(struct cprof_text *text, const char *string);

/* Decode the Rust name in name[0..n): true, the readable name in *out and in *used how
 * much of `name` it was (a suffix may follow). false when it is none or *out failed. */
bool cprof_demangle_rust_v0(const char *name, size_t n, struct cprof_text *out,
                            size_t *used);
bool cprof_demangle_rust_legacy(const char *name, size_t n, struct cprof_text *out,
                                size_t *used);

/* The bytes of `code` in UTF-8, up to 4; 0 when it is no Unicode scalar value. */
size_t cprof_utf8(uint32_t code, char bytes[4]);
/* The next character of UTF-8 that is written in hex, two digits (0-9, a-f) a byte; *at
 * moves on. false when it is not UTF-8. */
bool cprof_utf8_hex(const char **at, const char *end, uint32_t *ret);
static inline uint32_t cprof_hex_value(char digit)
{
    return (uint32_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}
/* Append the text of a Punycode identifier (RFC 3492), or false. */
bool cprof_punycode(struct cprof_text *out, const char *ascii, size_t ascii_n,
                    const char *code, size_t code_n);

#endif
