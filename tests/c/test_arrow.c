/* arrow: a consumer written from the specification walks the stream and finds the rows.
 */
#include "arrow.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

static struct ArrowArrayStream stream_of(struct cprof_profile *p)
{
    struct ArrowArrayStream stream = {0};

    CHECK_EQ(cprof_arrow_stream(p, &stream, NULL), 0);
    CHECK(stream.release);
    return stream;
}

static int64_t column_named(const struct ArrowSchema *schema, const char *name)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        if (!strcmp(schema->children[i]->name, name))
            return i;
    CHECK_STR("no such column", name);
    return 0;
}

static const void *buffer_of(const struct ArrowArray *batch,
                             const struct ArrowSchema *schema, const char *name,
                             const char *format)
{
    int64_t i = column_named(schema, name);

    CHECK_STR(schema->children[i]->format, format);
    CHECK_EQ(batch->children[i]->n_buffers, 2);
    CHECK_EQ(batch->children[i]->null_count, 0);
    CHECK(!batch->children[i]->buffers[0]); /* no validity bitmap: nothing is null */
    return batch->children[i]->buffers[1];
}

/* The text of one cell of a dictionary column. */
static const char *cell(const struct ArrowArray *batch, const struct ArrowSchema *schema,
                        const char *name, int64_t row)
{
    static char text[128];
    bool is_how = !strcmp(name, "how"); /* of few values: its codes are bytes */
    const void *codes = buffer_of(batch, schema, name, is_how ? "c" : "i");
    int32_t code = is_how ? ((const int8_t *)codes)[row] : ((const int32_t *)codes)[row];
    int64_t i = column_named(schema, name);
    const struct ArrowArray *dictionary = batch->children[i]->dictionary;
    const int32_t *offsets = dictionary->buffers[1];

    CHECK_STR(schema->children[i]->dictionary->format, "u");
    CHECK(code >= 0 && code < dictionary->length);
    snprintf(text, sizeof(text), "%.*s", offsets[code + 1] - offsets[code],
             (const char *)dictionary->buffers[2] + offsets[code]);
    return text;
}

static void test_columns_hold_the_rows(void)
{
    static const char *const NAMES[] = {
        "time",     "pid",    "tid", "cpu_id",  "thread",  "comm", "stack",
        "function", "module", "how", "n_added", "samples", "cpu"};
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch, end;
    struct cprof_profile *p;

    CHECK_EQ(profile_sample(&p), 0);
    stream = stream_of(p);
    CHECK_EQ(stream.get_schema(&stream, &schema), 0);
    CHECK_EQ(stream.get_next(&stream, &batch), 0);
    CHECK_STR(schema.format, "+s");
    CHECK_EQ(schema.n_children, 13);
    for (int i = 0; i < 13; i++)
        CHECK_STR(schema.children[i]->name, NAMES[i]);
    CHECK_EQ(batch.length, 8);
    CHECK_EQ(batch.n_children, 13);
    CHECK_EQ(((const int64_t *)buffer_of(&batch, &schema, "time", "l"))[1], 2000000000);
    CHECK_EQ(((const int32_t *)buffer_of(&batch, &schema, "tid", "i"))[1], 8);
    CHECK_EQ(((const int64_t *)buffer_of(&batch, &schema, "samples", "l"))[7], 5);
    CHECK_EQ(((const int64_t *)buffer_of(&batch, &schema, "cpu", "l"))[4], 200);
    CHECK(buffer_of(&batch, &schema, "stack", "I") == p->stack); /* without a copy */
    CHECK(buffer_of(&batch, &schema, "cpu", "l") == p->values[1]);
    CHECK_STR(cell(&batch, &schema, "thread", 1), "worker 8");
    CHECK_STR(cell(&batch, &schema, "comm", 0), "prog");
    CHECK_STR(cell(&batch, &schema, "function", 0), "b");
    CHECK_STR(cell(&batch, &schema, "function", 3), "i");
    CHECK_STR(cell(&batch, &schema, "module", 4), "libx");
    CHECK_STR(cell(&batch, &schema, "function", 7), "[lost]");
    CHECK_STR(cell(&batch, &schema, "module", 7), "");
    CHECK_STR(cell(&batch, &schema, "how", 7), "");
    CHECK_EQ(((const uint16_t *)buffer_of(&batch, &schema, "n_added", "S"))[7], 0);
    CHECK_EQ(stream.get_next(&stream, &end), 0);
    CHECK(!end.release); /* there is one batch */
    schema.release(&schema);
    batch.release(&batch);
    stream.release(&stream);
    CHECK(!schema.release && !batch.release && !stream.release);
    cprof_profile_unref(p);
}

static void test_how_a_stack_was_found_is_a_column(void)
{
    struct cprof_row row = {
        .how = CPROF_HOW_CONTINUED, .n_added = 40000, .values = {1, 1}};
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    struct cprof_profile *p;

    CHECK_EQ(profile_sample(&p), 0);
    row.stack = p->stack[0];
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    stream = stream_of(p);
    CHECK_EQ(stream.get_schema(&stream, &schema), 0);
    CHECK_EQ(stream.get_next(&stream, &batch), 0);
    CHECK_STR(cell(&batch, &schema, "how", 0), "");
    CHECK_STR(cell(&batch, &schema, "how", 8), "continued");
    CHECK(buffer_of(&batch, &schema, "n_added", "S") == p->n_added);
    CHECK_EQ(p->n_added[8], 40000);
    schema.release(&schema);
    batch.release(&batch);
    stream.release(&stream);
    cprof_profile_unref(p);
}

static void test_values_that_are_not_stored_and_names_that_are_taken(void)
{
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "time", &p->types[1].type), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;?", 1), 0);
    p->run.has_times = false;
    stream = stream_of(p);
    CHECK_EQ(stream.get_schema(&stream, &schema), 0);
    CHECK_EQ(stream.get_next(&stream, &batch), 0);
    CHECK_EQ(((const int64_t *)buffer_of(&batch, &schema, "time", "l"))[0], 0);
    CHECK_EQ(((const int64_t *)buffer_of(&batch, &schema, "samples", "l"))[0], 1);
    CHECK_EQ(((const int64_t *)buffer_of(&batch, &schema, "time value", "l"))[0], 1);
    CHECK_STR(cell(&batch, &schema, "function", 0), "[unknown]");
    CHECK_STR(cell(&batch, &schema, "module", 0), "prog");
    schema.release(&schema);
    batch.release(&batch);
    stream.release(&stream);
    cprof_profile_unref(p);
}

/* Each byte that is not UTF-8 is escaped, the rest of the name is kept. */
static void test_names_are_utf8(void)
{
    static const char *const NAMES[][2] = {
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
         "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\xff", "a\\xff"},
        {"\xc3", "\\xc3"},
        {"\xc0\x80", "\\xc0\\x80"},                     /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},            /* a surrogate */
        {"\xf4\x90\x80\x80z", "\\xf4\\x90\\x80\\x80z"}, /* beyond U+10FFFF */
        {"\xe2\x82", "\\xe2\\x82"},
    };

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        struct ArrowArrayStream stream;
        struct ArrowSchema schema;
        struct ArrowArray batch;
        struct cprof_profile *p = NULL;
        CHECK_EQ(profile_new(&p), 0);
        CHECK_EQ(profile_row(p, 1, 7, NAMES[i][0], 1), 0);
        stream = stream_of(p);
        CHECK_EQ(stream.get_schema(&stream, &schema), 0);
        CHECK_EQ(stream.get_next(&stream, &batch), 0);
        CHECK_STR(cell(&batch, &schema, "function", 0), NAMES[i][1]);
        schema.release(&schema);
        batch.release(&batch);
        stream.release(&stream);
        cprof_profile_unref(p);
    }
}

/* A child that was moved out lives on when all else is released, the profile too. */
static void test_children_may_outlive_everything(void)
{
    struct ArrowArrayStream stream;
    struct ArrowSchema schema, name;
    struct ArrowArray batch, child;
    struct cprof_profile *p;
    const int32_t *offsets;

    CHECK_EQ(profile_sample(&p), 0);
    stream = stream_of(p);
    CHECK_EQ(stream.get_schema(&stream, &schema), 0);
    CHECK_EQ(stream.get_next(&stream, &batch), 0);
    child = *batch.children[7];
    batch.children[7]->release = NULL;
    name = *schema.children[7];
    schema.children[7]->release = NULL;
    batch.release(&batch);
    schema.release(&schema);
    stream.release(&stream);
    cprof_profile_unref(p);
    CHECK_STR(name.name, "function");
    CHECK_EQ(child.length, 8);
    offsets = child.dictionary->buffers[1];
    CHECK(!memcmp((const char *)child.dictionary->buffers[2] + offsets[0], "b", 1));
    child.release(&child);
    name.release(&name);
}

static void test_an_empty_profile_is_an_empty_batch(void)
{
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    stream = stream_of(p);
    CHECK_EQ(stream.get_next(&stream, &batch), 0);
    CHECK_EQ(batch.length, 0);
    for (int64_t i = 0; i < batch.n_children; i++)
        CHECK(batch.children[i]->buffers[1]);
    CHECK_EQ(batch.children[4]->dictionary->length, 0);
    batch.release(&batch);
    stream.release(&stream);
    cprof_profile_unref(p);
}

static int attempt(void *unused)
{
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    struct cprof_profile *p;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    r = cprof_arrow_stream(p, &stream, NULL);
    if (r >= 0) {
        r = -stream.get_schema(&stream, &schema);
        if (r == 0)
            schema.release(&schema);
        if (r == 0)
            r = -stream.get_next(&stream, &batch);
        if (r == 0)
            batch.release(&batch);
        stream.release(&stream);
    }
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_columns_hold_the_rows);
    RUN(test_how_a_stack_was_found_is_a_column);
    RUN(test_values_that_are_not_stored_and_names_that_are_taken);
    RUN(test_names_are_utf8);
    RUN(test_children_may_outlive_everything);
    RUN(test_an_empty_profile_is_an_empty_batch);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
