/* Rust's v0 names (RFC 2603, the rustc book), shown as Rust is written: no hashes, no
 * disambiguators, no types of integer constants. */
#define _GNU_SOURCE /* memrchr */
#include "demangle_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    DEPTH_MAX = 300,
    LIFETIMES_MAX = 1000, /* bound at one place */
};

/* v0 is decoded by descent. A mistake in the name sets is_bad, after which nothing more
 * is eaten or printed, so that only loops need to look at it. */
struct parser {
    const char *name; /* after "_R": what back references count from */
    size_t n, at;
    struct cprof_text *out;
    unsigned depth;
    uint64_t n_lifetimes; /* bound by the binders around */
    bool is_open;         /* see print_open_path */
    bool is_quiet;        /* parse only; back references are then not followed */
    bool is_bad;
};

static void print_type(struct parser *p);
static void print_const(struct parser *p, bool is_inside);
static void print_path(struct parser *p, bool is_value);

static char peek(const struct parser *p)
{
    return !p->is_bad && p->at < p->n ? p->name[p->at] : '\0';
}

static char next(struct parser *p)
{
    char c = peek(p);

    if (c)
        p->at++;
    else
        p->is_bad = true;
    return c;
}

static bool eat(struct parser *p, char c)
{
    if (peek(p) != c)
        return false;
    p->at++;
    return true;
}

static void print_n(struct parser *p, const char *bytes, size_t n)
{
    if (p->is_quiet || p->is_bad)
        return;
    cprof_text_add(p->out, bytes, n);
    p->is_bad = p->out->r < 0;
}

static void print(struct parser *p, const char *string)
{
    print_n(p, string, strlen(string));
}

static void print_number(struct parser *p, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRIu64, value);
    print(p, digits);
}

static void enter(struct parser *p)
{
    if (++p->depth > DEPTH_MAX)
        p->is_bad = true;
}

static void leave(struct parser *p)
{
    p->depth--;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* "_" is 0, "0_" 1, "1_" 2 ... */
static uint64_t read_base62(struct parser *p)
{
    uint64_t value = 0;

    if (eat(p, '_'))
        return 0;
    while (!eat(p, '_')) {
        char c = next(p);
        unsigned digit = 0;
        if (is_digit(c))
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'z')
            digit = (unsigned)(c - 'a') + 10;
        else if (is_upper(c))
            digit = (unsigned)(c - 'A') + 36;
        else
            p->is_bad = true;
        if (p->is_bad || value > (UINT64_MAX - 1 - digit) / 62) {
            p->is_bad = true;
            return 0;
        }
        value = value * 62 + digit;
    }
    return value + 1;
}

/* A tagged number, 0 where the tag is not there. */
static uint64_t read_tagged(struct parser *p, char tag)
{
    uint64_t value;

    if (!eat(p, tag))
        return 0;
    value = read_base62(p);
    if (value == UINT64_MAX)
        p->is_bad = true;
    return value + 1;
}

struct identifier {
    const char *bytes;
    size_t n;
    bool is_punycode;
};

static size_t read_decimal(struct parser *p)
{
    size_t value;

    if (!is_digit(peek(p)))
        p->is_bad = true;
    if (eat(p, '0'))
        return 0;
    for (value = 0; is_digit(peek(p)); p->at++) {
        value = value * 10 + (size_t)(peek(p) - '0');
        if (value > p->n) {
            p->is_bad = true;
            return 0;
        }
    }
    return value;
}

static struct identifier read_identifier(struct parser *p)
{
    struct identifier id = {.bytes = "", .is_punycode = eat(p, 'u')};

    id.n = read_decimal(p);
    eat(p, '_');
    if (p->is_bad || id.n > p->n - p->at) {
        p->is_bad = true;
        id.n = 0;
        return id;
    }
    id.bytes = p->name + p->at;
    p->at += id.n;
    return id;
}

static void print_identifier(struct parser *p, const struct identifier *id)
{
    const char *code = id->bytes, *line;
    size_t ascii_n = 0, code_n = id->n;

    if (!id->is_punycode) {
        print_n(p, id->bytes, id->n);
        return;
    }
    line = memrchr(id->bytes, '_', id->n);
    if (line) {
        code = line + 1;
        ascii_n = (size_t)(line - id->bytes);
        code_n = id->n - ascii_n - 1;
    }
    if (!code_n)
        p->is_bad = true;
    if (p->is_bad || p->is_quiet ||
        cprof_punycode(p->out, id->bytes, ascii_n, code, code_n))
        return;
    print(p, "punycode{");
    print_n(p, id->bytes, ascii_n);
    print(p, ascii_n ? "-" : "");
    print_n(p, code, code_n);
    print(p, "}");
}

/* What lies at an earlier place stands here. */
static void print_back(struct parser *p, void (*print_it)(struct parser *p, bool flag),
                       bool flag)
{
    size_t tag_at = p->at - 1, back;
    uint64_t place = read_base62(p);

    if (place >= tag_at)
        p->is_bad = true;
    if (p->is_bad || p->is_quiet)
        return;
    back = p->at;
    p->at = place;
    enter(p);
    print_it(p, flag);
    leave(p);
    p->at = back;
}

static void print_lifetime(struct parser *p, uint64_t index)
{
    uint64_t level = p->n_lifetimes - index;

    if (index > p->n_lifetimes)
        p->is_bad = true;
    if (!index) {
        print(p, "'_");
    } else if (level < 26) {
        print_n(p, (char[]){'\'', (char)('a' + level)}, 2);
    } else {
        print(p, "'_");
        print_number(p, level);
    }
}

/* "for<'a, 'b> "; returns how many, to be unbound again after what follows. */
static uint64_t print_binder(struct parser *p)
{
    uint64_t n = read_tagged(p, 'G');

    if (n > LIFETIMES_MAX)
        p->is_bad = true;
    if (!n || p->is_bad)
        return 0;
    print(p, "for<");
    for (uint64_t i = 0; i < n; i++) {
        print(p, i ? ", " : "");
        p->n_lifetimes++;
        print_lifetime(p, 1);
    }
    print(p, "> ");
    return n;
}

/* Items up to an E; returns how many. */
static size_t print_list(struct parser *p, const char *between,
                         void (*print_item)(struct parser *p))
{
    size_t n = 0;

    while (!p->is_bad && !eat(p, 'E')) {
        print(p, n++ ? between : "");
        print_item(p);
    }
    return n;
}

static void print_generic_arg(struct parser *p)
{
    if (eat(p, 'L'))
        print_lifetime(p, read_base62(p));
    else if (eat(p, 'K'))
        print_const(p, false);
    else
        print_type(p);
}

/* Where an impl stands says nothing to the reader. */
static void skip_impl_path(struct parser *p)
{
    bool was_quiet = p->is_quiet;

    p->is_quiet = true;
    read_tagged(p, 's');
    print_path(p, false);
    p->is_quiet = was_quiet;
}

static void print_nested(struct parser *p, bool is_value)
{
    char space = next(p);
    uint64_t disambiguator;
    struct identifier id;

    if (!is_upper(space) && !(space >= 'a' && space <= 'z'))
        p->is_bad = true;
    print_path(p, is_value);
    disambiguator = read_tagged(p, 's');
    id = read_identifier(p);
    if (!is_upper(space)) {
        print(p, id.n ? "::" : "");
        print_identifier(p, &id);
        return;
    }
    print(p, "::{");
    if (space == 'C')
        print(p, "closure");
    else if (space == 'S')
        print(p, "shim");
    else
        print_n(p, &space, 1);
    if (id.n) {
        print(p, ":");
        print_identifier(p, &id);
    }
    print(p, "#");
    print_number(p, disambiguator);
    print(p, "}");
}

/* `is_value`: generic arguments of values are set off by "::", those of types are not. */
static void print_path(struct parser *p, bool is_value)
{
    struct identifier id;
    char tag = next(p);

    enter(p);
    switch (tag) {
    case 'C':
        read_tagged(p, 's');
        id = read_identifier(p);
        print_identifier(p, &id);
        break;
    case 'N':
        print_nested(p, is_value);
        break;
    case 'M':
    case 'X':
        skip_impl_path(p);
        /* fall through */
    case 'Y':
        print(p, "<");
        print_type(p);
        if (tag != 'M') {
            print(p, " as ");
            print_path(p, false);
        }
        print(p, ">");
        break;
    case 'I':
        print_path(p, is_value);
        print(p, is_value ? "::<" : "<");
        print_list(p, ", ", print_generic_arg);
        print(p, ">");
        break;
    case 'B':
        print_back(p, print_path, is_value);
        break;
    default:
        p->is_bad = true;
    }
    leave(p);
}

/* A trait's path; generic arguments are left open for more to be added: is_open. */
static void print_open_path(struct parser *p, bool is_value)
{
    bool is_open = false;

    if (eat(p, 'B')) {
        print_back(p, print_open_path, is_value);
        return;
    }
    is_open = eat(p, 'I');
    print_path(p, is_value);
    if (is_open) {
        print(p, "<");
        print_list(p, ", ", print_generic_arg);
    }
    p->is_open = is_open;
}

static void print_dyn_trait(struct parser *p)
{
    bool is_open;

    p->is_open = false;
    print_open_path(p, false);
    is_open = p->is_open;
    while (eat(p, 'p')) {
        struct identifier id = read_identifier(p);
        print(p, is_open ? ", " : "<");
        is_open = true;
        print_identifier(p, &id);
        print(p, " = ");
        if (eat(p, 'K'))
            print_const(p, false);
        else
            print_type(p);
    }
    print(p, is_open ? ">" : "");
}

static void print_dyn(struct parser *p)
{
    uint64_t n, lifetime;

    print(p, "dyn ");
    n = print_binder(p);
    print_list(p, " + ", print_dyn_trait);
    p->n_lifetimes -= n;
    if (!eat(p, 'L'))
        p->is_bad = true;
    lifetime = read_base62(p);
    if (lifetime) {
        print(p, " + ");
        print_lifetime(p, lifetime);
    }
}

static void print_abi(struct parser *p)
{
    struct identifier id = {.bytes = "C", .n = 1};

    if (!eat(p, 'C'))
        id = read_identifier(p);
    if (!id.n || id.is_punycode)
        p->is_bad = true;
    print(p, "extern \"");
    for (size_t i = 0; i < id.n; i++)
        print_n(p, id.bytes[i] == '_' ? "-" : &id.bytes[i], 1);
    print(p, "\" ");
}

static void print_fn(struct parser *p)
{
    uint64_t n = print_binder(p);

    if (eat(p, 'U'))
        print(p, "unsafe ");
    if (eat(p, 'K'))
        print_abi(p);
    print(p, "fn(");
    print_list(p, ", ", print_type);
    print(p, ")");
    if (!eat(p, 'u')) { /* the unit type is not written */
        print(p, " -> ");
        print_type(p);
    }
    p->n_lifetimes -= n;
}

static void print_reference(struct parser *p, bool is_mut)
{
    print(p, "&");
    if (eat(p, 'L')) {
        uint64_t lifetime = read_base62(p);
        if (lifetime) {
            print_lifetime(p, lifetime);
            print(p, " ");
        }
    }
    print(p, is_mut ? "mut " : "");
    print_type(p);
}

static void print_pattern(struct parser *p)
{
    enter(p);
    switch (next(p)) {
    case 'R':
        print_const(p, false);
        print(p, "..=");
        print_const(p, false);
        break;
    case 'O':
        print_list(p, " | ", print_pattern);
        break;
    case 'N':
        print(p, "!null");
        break;
    default:
        p->is_bad = true;
    }
    leave(p);
}

static const char *basic_type(char tag)
{
    static const char *const names[26] = {
        /* from a to z */
        "i8",    "bool", "char", "f64", "str",  "f32",  NULL,  "u8", "isize",
        "usize", NULL,   "i32",  "u32", "i128", "u128", "_",   NULL, NULL,
        "i16",   "u16",  "()",   "...", NULL,   "i64",  "u64", "!"};

    return tag >= 'a' && tag <= 'z' ? names[tag - 'a'] : NULL;
}

static void print_back_type(struct parser *p, bool flag)
{
    (void)flag;
    print_type(p);
}

static void print_sequence(struct parser *p, char tag)
{
    print(p, tag == 'T' ? "(" : "[");
    if (tag == 'T') {
        print(p, print_list(p, ", ", print_type) == 1 ? ",)" : ")");
        return;
    }
    print_type(p);
    if (tag == 'A') {
        print(p, "; ");
        print_const(p, true);
    }
    print(p, "]");
}

static void print_type(struct parser *p)
{
    char tag = next(p);

    enter(p);
    if (basic_type(tag)) {
        print(p, basic_type(tag));
        leave(p);
        return;
    }
    switch (tag) {
    case 'R':
    case 'Q':
        print_reference(p, tag == 'Q');
        break;
    case 'P':
    case 'O':
        print(p, tag == 'P' ? "*const " : "*mut ");
        print_type(p);
        break;
    case 'A':
    case 'S':
    case 'T':
        print_sequence(p, tag);
        break;
    case 'F':
        print_fn(p);
        break;
    case 'D':
        print_dyn(p);
        break;
    case 'W':
        print_type(p);
        print(p, " is ");
        print_pattern(p);
        break;
    case 'B':
        print_back(p, print_back_type, false);
        break;
    default:
        p->at -= !p->is_bad;
        print_path(p, false);
    }
    leave(p);
}

/* Hex digits up to an underscore: *n of them, without leading zeros. */
static const char *read_hex(struct parser *p, size_t *n)
{
    const char *digits = p->name + p->at;
    size_t start = p->at;

    while (is_digit(peek(p)) || (peek(p) >= 'a' && peek(p) <= 'f'))
        p->at++;
    *n = p->at - start;
    if (!eat(p, '_'))
        p->is_bad = true;
    return digits;
}

/* A number, and whether it fits 64 bits. */
static bool read_number(struct parser *p, uint64_t *ret, const char **digits, size_t *n)
{
    *ret = 0;
    *digits = read_hex(p, n);
    for (; *n && **digits == '0'; ++*digits)
        --*n;
    for (size_t i = 0; i < *n; i++)
        *ret = *ret << 4 | cprof_hex_value((*digits)[i]);
    return *n <= 16;
}

static void print_integer(struct parser *p)
{
    const char *digits;
    uint64_t value;
    size_t n;

    if (read_number(p, &value, &digits, &n)) {
        print_number(p, value);
    } else {
        print(p, "0x");
        print_n(p, digits, n);
    }
}

static void print_bool(struct parser *p)
{
    const char *digits;
    uint64_t value;
    size_t n;

    if (!read_number(p, &value, &digits, &n) || value > 1)
        p->is_bad = true;
    print(p, value ? "true" : "false");
}

/* A character as Rust writes it between `quote`s. */
static void print_quoted(struct parser *p, uint32_t code, char quote)
{
    static const char plain[] = "\t\r\n\\", *const escaped[] = {"\\t", "\\r", "\\n",
                                                                "\\\\"};
    const char *found = code && code < 128 ? strchr(plain, (int)code) : NULL;
    char bytes[16];

    if (found) {
        print(p, escaped[found - plain]);
    } else if (!code) {
        print(p, "\\0");
    } else if (code == (uint32_t)quote) {
        print(p, "\\");
        print_n(p, &quote, 1);
    } else if (code < 32 || (code >= 127 && code < 160)) {
        snprintf(bytes, sizeof(bytes), "\\u{%" PRIx32 "}", code);
        print(p, bytes);
    } else {
        size_t n = cprof_utf8(code, bytes);
        print_n(p, bytes, n);
        if (!n)
            p->is_bad = true;
    }
}

static void print_char(struct parser *p)
{
    const char *digits;
    uint64_t value;
    size_t n;

    if (!read_number(p, &value, &digits, &n) || value > 0x10ffff)
        p->is_bad = true;
    print(p, "'");
    print_quoted(p, (uint32_t)value, '\'');
    print(p, "'");
}

static void print_string(struct parser *p)
{
    size_t n;
    const char *at = read_hex(p, &n), *end = at + n;

    if (n & 1)
        p->is_bad = true;
    print(p, "\"");
    while (at < end && !p->is_bad) {
        uint32_t code = 0;
        p->is_bad |= !cprof_utf8_hex(&at, end, &code);
        print_quoted(p, code, '"');
    }
    print(p, "\"");
}

static void print_inside_const(struct parser *p)
{
    print_const(p, true);
}

static void print_field(struct parser *p)
{
    struct identifier id;

    read_tagged(p, 's');
    id = read_identifier(p);
    print_identifier(p, &id);
    print(p, ": ");
    print_const(p, true);
}

/* A value of a struct or an enum. */
static void print_adt(struct parser *p)
{
    print_path(p, true);
    switch (next(p)) {
    case 'U':
        break;
    case 'T':
        print(p, "(");
        print_list(p, ", ", print_inside_const);
        print(p, ")");
        break;
    case 'S':
        print(p, " { ");
        print_list(p, ", ", print_field);
        print(p, " }");
        break;
    default:
        p->is_bad = true;
    }
}

/* Values that are more than a literal; `tag` is of their type. */
static void print_compound(struct parser *p, char tag)
{
    switch (tag) {
    case 'e':
        print(p, "*");
        print_string(p);
        break;
    case 'R':
    case 'Q':
        print(p, tag == 'R' ? "&" : "&mut ");
        print_const(p, true);
        break;
    case 'A':
        print(p, "[");
        print_list(p, ", ", print_inside_const);
        print(p, "]");
        break;
    case 'T':
        print(p, "(");
        print(p, print_list(p, ", ", print_inside_const) == 1 ? ",)" : ")");
        break;
    case 'V':
        print_adt(p);
        break;
    default:
        p->is_bad = true;
    }
}

/* Outside of another value compound ones stand in braces, as in Rust's generics. */
static void print_const(struct parser *p, bool is_inside)
{
    char tag = next(p);

    enter(p);
    if (tag == 'p') {
        print(p, "_");
    } else if (tag == 'B') {
        print_back(p, print_const, is_inside);
    } else if (tag && strchr("hmtyoj", tag)) {
        print_integer(p);
    } else if (tag && strchr("alsxni", tag)) {
        print(p, eat(p, 'n') ? "-" : "");
        print_integer(p);
    } else if (tag == 'b') {
        print_bool(p);
    } else if (tag == 'c') {
        print_char(p);
    } else if (tag == 'R' && eat(p, 'e')) { /* a literal is a reference already */
        print_string(p);
    } else {
        print(p, is_inside ? "" : "{");
        print_compound(p, tag);
        print(p, is_inside ? "" : "}");
    }
    leave(p);
}

bool cprof_demangle_rust_v0(const char *name, size_t n, struct cprof_text *out,
                            size_t *used)
{
    struct parser p = {.name = name + 2, .n = n - 2, .out = out};

    if (n < 3 || memcmp(name, "_R", 2) || !is_upper(name[2]))
        return false;
    print_path(&p, true);
    if (is_upper(peek(&p))) { /* the crate that this copy was made for */
        p.is_quiet = true;
        print_path(&p, false);
    }
    if (p.is_bad || (p.at < p.n && p.name[p.at] != '.' && p.name[p.at] != '$'))
        return false;
    *used = p.at + 2;
    return true;
}
