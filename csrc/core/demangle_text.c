/* Rust's legacy names, which look like C++ names that end in a hash, and the text of
 * identifiers: UTF-8 and Punycode. */
#include "demangle_internal.h"

#include <string.h>

enum { CODE_POINTS_MAX = 256, HASH = 17 /* "h" and 16 digits */ };

size_t cprof_utf8(uint32_t code, char bytes[4])
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    for (size_t i = n; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(n == 1 ? code : (0xf00u >> n & 0xff) | code);
    return n;
}

static uint32_t hex_byte(const char *at)
{
    return cprof_hex_value(at[0]) << 4 | cprof_hex_value(at[1]);
}

bool cprof_utf8_hex(const char **at, const char *end, uint32_t *ret)
{
    uint32_t code = hex_byte(*at);
    size_t more = code < 0x80 ? 0 : code < 0xe0 ? 1 : code < 0xf0 ? 2 : 3;
    char bytes[4];

    *at += 2;
    if ((code >= 0x80 && code < 0xc2) || code > 0xf4 || (size_t)(end - *at) < 2 * more)
        return false;
    code &= more ? 0x3fu >> more : 0x7f;
    for (size_t i = 0; i < more; i++, *at += 2) {
        if ((hex_byte(*at) & 0xc0) != 0x80)
            return false;
        code = code << 6 | (hex_byte(*at) & 0x3f);
    }
    *ret = code;
    return cprof_utf8(code, bytes) == more + 1; /* not longer than it has to be */
}

/* How the weights of digits adapt: RFC 3492, section 6.1. */
static uint32_t adapt(uint32_t delta, uint32_t n, bool is_first)
{
    uint32_t k = 0;

    delta /= is_first ? 700 : 2;
    delta += delta / n;
    for (; delta > 35 * 26 / 2; k += 36)
        delta /= 35;
    return k + 36 * delta / (delta + 38);
}

/* One variable-length integer added to *i: how many bytes of it, 0 when it is none. */
static size_t read_delta(const char *code, size_t n, uint32_t bias, uint32_t *i)
{
    uint32_t weight = 1;

    for (size_t at = 0, k = 36; at < n; at++, k += 36) {
        uint32_t threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : (uint32_t)k - bias;
        uint32_t digit;
        if (code[at] >= 'a' && code[at] <= 'z')
            digit = (uint32_t)(code[at] - 'a');
        else if (code[at] >= '0' && code[at] <= '9')
            digit = (uint32_t)(code[at] - '0') + 26;
        else
            return 0;
        if (digit > (UINT32_MAX / 2 - *i) / weight)
            return 0;
        *i += digit * weight;
        if (digit < threshold)
            return at + 1;
        if (weight > UINT32_MAX / 2 / (36 - threshold))
            return 0;
        weight *= 36 - threshold;
    }
    return 0;
}

bool cprof_punycode(struct cprof_text *out, const char *ascii, size_t ascii_n,
                    const char *code, size_t code_n)
{
    uint32_t points[CODE_POINTS_MAX], i = 0, bias = 72, point = 0x80;
    size_t n = ascii_n;
    char bytes[4];

    if (n > CODE_POINTS_MAX)
        return false;
    for (size_t k = 0; k < n; k++)
        points[k] = (unsigned char)ascii[k];
    while (code_n) {
        uint32_t before = i;
        size_t used = read_delta(code, code_n, bias, &i);
        if (!used || n == CODE_POINTS_MAX)
            return false;
        code += used;
        code_n -= used;
        n++;
        bias = adapt(i - before, (uint32_t)n, !before && n == ascii_n + 1);
        point += i / (uint32_t)n;
        i %= (uint32_t)n;
        if (!cprof_utf8(point, bytes))
            return false;
        memmove(points + i + 1, points + i, (n - 1 - i) * sizeof(*points));
        points[i++] = point;
    }
    for (size_t k = 0; k < n; k++)
        cprof_text_add(out, bytes, cprof_utf8(points[k], bytes));
    return true;
}

struct part {
    const char *bytes;
    size_t n;
};

/* "<length><bytes>" at *at, which moves on. */
static bool read_part(const char **at, const char *end, struct part *ret)
{
    size_t n = 0;

    if (*at == end || **at < '1' || **at > '9')
        return false;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        n = n * 10 + (size_t)(**at - '0');
        if (n > CPROF_DEMANGLE_MAX)
            return false;
    }
    if (n > (size_t)(end - *at))
        return false;
    *ret = (struct part){*at, n};
    *at += n;
    return true;
}

static bool is_hash(const struct part *part)
{
    if (part->n != HASH || part->bytes[0] != 'h')
        return false;
    for (size_t i = 1; i < HASH; i++) {
        char c = part->bytes[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* $u7e$ and the like: the character with this number in hex. */
static bool add_code_point(struct cprof_text *out, const char *digits, size_t n)
{
    uint32_t code = 0;
    char bytes[4];

    if (!n || n > 6)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = digits[i];
        if (c >= '0' && c <= '9')
            code = code << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            code = code << 4 | (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    n = cprof_utf8(code, bytes);
    if (!n || code < 32 || (code >= 127 && code < 160))
        return false;
    cprof_text_add(out, bytes, n);
    return true;
}

/* $LT$ and the like. */
static bool add_escape(struct cprof_text *out, const char *name, size_t n)
{
    static const struct {
        const char *name, *is;
    } escapes[] = {{"SP", "@"}, {"BP", "*"}, {"RF", "&"}, {"LT", "<"},
                   {"GT", ">"}, {"LP", "("}, {"RP", ")"}, {"C", ","}};

    for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++) {
        if (strlen(escapes[i].name) == n && !memcmp(escapes[i].name, name, n)) {
            cprof_text_put(out, escapes[i].is);
            return true;
        }
    }
    return n && *name == 'u' && add_code_point(out, name + 1, n - 1);
}

static void add_part(struct cprof_text *out, struct part part)
{
    const char *at = part.bytes, *end = at + part.n;

    if (part.n > 1 && at[0] == '_' && at[1] == '$')
        at++; /* so that an identifier does not begin with a dollar */
    while (at < end) {
        const char *close;
        if (*at == '.') {
            bool is_path = at + 1 < end && at[1] == '.';
            cprof_text_put(out, is_path ? "::" : ".");
            at += is_path ? 2 : 1;
        } else if (*at == '$') {
            close = memchr(at + 1, '$', (size_t)(end - at - 1));
            if (!close || !add_escape(out, at + 1, (size_t)(close - at - 1)))
                break;
            at = close + 1;
        } else {
            close = at;
            while (close < end && *close != '.' && *close != '$')
                close++;
            cprof_text_add(out, at, (size_t)(close - at));
            at = close;
        }
    }
    cprof_text_add(out, at, (size_t)(end - at)); /* an escape that is none: as it is */
}

bool cprof_demangle_rust_legacy(const char *name, size_t n, struct cprof_text *out,
                                size_t *used)
{
    const char *at = name + 3, *end = name + n;
    struct part part = {0};
    size_t n_parts = 0;

    if (n < 4 || memcmp(name, "_ZN", 3))
        return false;
    while (read_part(&at, end, &part))
        n_parts++;
    if (n_parts < 2 || !is_hash(&part) || at == end || *at != 'E' ||
        (at + 1 < end && at[1] != '.'))
        return false;
    *used = (size_t)(at + 1 - name);
    at = name + 3;
    for (size_t i = 0; i + 1 < n_parts && read_part(&at, end, &part); i++) {
        cprof_text_put(out, i ? "::" : "");
        add_part(out, part);
    }
    return out->r == 0;
}
