/* fuzz_columns: a block of a column, as it is and with what is to be inflated; what was
 * decoded must come back when it is encoded again. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "columns.h"

static void decode(const struct cprof_column_part *part,
                   const struct cprof_column_format *format)
{
    struct cprof_column_part again = *part;
    void *numbers, *back;
    uint8_t *block;
    size_t n;

    if (cprof_columns_decode(part, 1, format, 0, &numbers, &n) < 0)
        return;
    if (n != part->n || cprof_columns_encode(numbers, n, format, part->base, 0, &block,
                                             &again.n_block) < 0)
        abort();
    again.block = block;
    if (cprof_columns_decode(&again, 1, format, 0, &back, &n) < 0 || n != part->n ||
        memcmp(numbers, back, n * format->width))
        abort();
    free(numbers);
    free(block);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cprof_column_format format;
    struct cprof_column_part part;
    uint8_t packed[4096];
    uLong n_packed = sizeof(packed);

    if (size < 3)
        return 0;
    format = (struct cprof_column_format){(size_t)1 << (data[0] & 3), data[0] >> 2 & 3};
    part = (struct cprof_column_part){data + 3, size - 3, data[1], data[2]};
    decode(&part, &format);
    if (compress(packed, &n_packed, data + 3, (uLong)(size - 3)) == Z_OK) {
        part.block = packed;
        part.n_block = n_packed;
        decode(&part, &format);
    }
    return 0;
}
