/* pprof_wire.h - the protobuf wire format (protobuf.dev/programming-guides/encoding),
 * read where it lies: no message is made of it. Private to the pprof reader.
 *
 * No byte beyond `end` is touched; what does not fit sets is_bad and ends the message. */
#ifndef CPROF_PPROF_WIRE_H
#define CPROF_PPROF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire { /* a message, or a packed row of numbers, from `at` on */
    const uint8_t *at, *end;
    bool is_bad;
};

enum wire_kind { WIRE_NUMBER, WIRE_BYTES, WIRE_OTHER };

struct wire_field {
    uint64_t number; /* which field */
    enum wire_kind kind;
    uint64_t value;    /* of WIRE_NUMBER */
    struct wire bytes; /* of WIRE_BYTES */
};

static inline uint64_t wire_fail(struct wire *w)
{
    w->is_bad = true;
    w->at = w->end;
    return 0;
}

static inline uint64_t wire_varint(struct wire *w)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70 && w->at < w->end; shift += 7) {
        uint8_t byte = *w->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    return wire_fail(w);
}

static inline struct wire wire_take(struct wire *w, uint64_t n)
{
    struct wire taken = {.at = w->at, .end = w->at};

    if (n > (uint64_t)(w->end - w->at)) {
        wire_fail(w);
        return taken;
    }
    w->at = taken.end = taken.at + n;
    return taken;
}

/* The next field; false at the end of the message, or where it is bad. */
static inline bool wire_next(struct wire *w, struct wire_field *field)
{
    uint64_t tag;

    if (w->at >= w->end)
        return false;
    tag = wire_varint(w);
    field->number = tag >> 3;
    field->value = 0;
    field->kind = WIRE_OTHER;
    switch (tag & 7) {
    case 0:
        field->kind = WIRE_NUMBER;
        field->value = wire_varint(w);
        break;
    case 1:
        wire_take(w, 8);
        break;
    case 2:
        field->kind = WIRE_BYTES;
        field->bytes = wire_take(w, wire_varint(w));
        break;
    case 5:
        wire_take(w, 4);
        break;
    default:
        wire_fail(w);
    }
    if (!field->number)
        wire_fail(w);
    return !w->is_bad;
}

/* The next number of a field of repeated numbers, packed or not; false where there is no
 * more. A field that is not packed is used up. */
static inline bool wire_number(struct wire_field *field, uint64_t *ret)
{
    if (field->kind == WIRE_NUMBER) {
        *ret = field->value;
        field->kind = WIRE_OTHER;
        return true;
    }
    if (field->kind != WIRE_BYTES || field->bytes.at >= field->bytes.end)
        return false;
    *ret = wire_varint(&field->bytes);
    return !field->bytes.is_bad;
}

/* The numbers of a message by field, 0 where it has none: false where it is bad. */
static inline bool wire_numbers(struct wire message, uint64_t *values, size_t n)
{
    struct wire_field field;

    memset(values, 0, n * sizeof(*values));
    while (wire_next(&message, &field))
        if (field.kind == WIRE_NUMBER && field.number < n)
            values[field.number] = field.value;
    return !message.is_bad;
}

#endif
