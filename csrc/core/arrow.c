#include "arrow.h"

#include <stdio.h>

#include "view.h"

enum { N_FIXED = 11, MAX_COLUMNS = N_FIXED + CPROF_MAX_SAMPLE_TYPES };

struct dictionary { /* distinct texts: the buffers of an array of type "u" */
    CPROF_VEC(int32_t) offsets;
    CPROF_VEC(char) text;
    bool is_used;
};

struct column {
    char name[64];
    const char *format;
    const void *data; /* borrowed from the profile, or = made */
    void *made;
    struct dictionary dictionary;
};

/* All that the stream, its schemas and its arrays point to; they count as references. */
struct table {
    atomic_uint refs;
    struct cprof_profile *p;
    struct column columns[MAX_COLUMNS];
    size_t n_columns;
};

struct stream {
    struct table *table;
    bool is_done;
};

static void table_unref(struct table *table)
{
    if (atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < table->n_columns; i++) {
        struct column *column = &table->columns[i];
        free(column->made);
        free(column->dictionary.offsets.data);
        free(column->dictionary.text.data);
    }
    cprof_profile_unref(table->p);
    free(table);
}

static struct table *table_ref(struct table *table)
{
    atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

/* The length of the UTF-8 character at `s`, 0 if there is none. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (s[1] & 0xc0) != 0x80)
        return 0;
    if (s[0] < 0xe0)
        return 2;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[2] & 0xc0) != 0x80)
        return 0;
    if (s[0] < 0xf0)
        return 3;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f) ||
        (s[3] & 0xc0) != 0x80)
        return 0;
    return 4;
}

static int append_text(struct dictionary *to, const char *text)
{
    if (cprof_vec_reserve(&to->text, 4 * strlen(text) + 1) < 0)
        return -ENOMEM;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = utf8_length(s);
        if (n) {
            memcpy(to->text.data + to->text.n, s, n);
            to->text.n += n;
            s += n;
        } else {
            to->text.n += (size_t)sprintf(to->text.data + to->text.n, "\\x%02x", *s++);
        }
    }
    if (to->text.n > INT32_MAX)
        return -EOVERFLOW;
    return cprof_vec_push(&to->offsets, (int32_t)to->text.n);
}

static struct column *add_column(struct table *table, const char *name,
                                 const char *format)
{
    struct column *column = &table->columns[table->n_columns];

    snprintf(column->name, sizeof(column->name), "%s", name);
    for (size_t i = 0; i < table->n_columns; i++)
        if (!strcmp(table->columns[i].name, column->name))
            snprintf(column->name, sizeof(column->name), "%.50s value", name);
    column->format = format;
    table->n_columns++;
    return column;
}

static uint32_t thread_string(const struct cprof_profile *p, size_t row)
{
    return p->stacks->threads.data[p->thread[row]].name;
}
static uint32_t comm_string(const struct cprof_profile *p, size_t row)
{
    return p->stacks->threads.data[p->thread[row]].comm;
}
static uint32_t function_string(const struct cprof_profile *p, size_t row)
{
    const struct cprof_stacks *s = p->stacks;
    uint32_t function = cprof_stacks_leaf_function(s, p->stack[row]);

    return function == CPROF_NONE ? s->unknown : s->functions.data[function].name;
}
static uint32_t module_string(const struct cprof_profile *p, size_t row)
{
    const struct cprof_stacks *s = p->stacks;
    uint32_t function = cprof_stacks_leaf_function(s, p->stack[row]), mapping;

    if (function != CPROF_NONE)
        return s->functions.data[function].module;
    mapping = s->locations.data[s->nodes.data[p->stack[row]].location].mapping;
    return mapping == CPROF_NONE ? 0 : s->mappings.data[mapping].module;
}

static int add_text(struct table *table, const char *name,
                    uint32_t (*string_of)(const struct cprof_profile *p, size_t row))
{
    const struct cprof_profile *p = table->p;
    struct column *column = add_column(table, name, "i");
    struct dictionary *dictionary = &column->dictionary;
    int32_t *codes = calloc(p->stacks->strings.n + 1, sizeof(*codes)); /* code + 1 */
    int32_t *made = malloc((p->n + 1) * sizeof(*made));
    int r = codes && made ? cprof_vec_push(&dictionary->offsets, 0) : -ENOMEM;

    column->data = column->made = made;
    dictionary->is_used = true;
    for (size_t i = 0; i < p->n && r >= 0; i++) {
        uint32_t string = string_of(p, i);
        if (!codes[string]) {
            r = append_text(dictionary, cprof_stacks_text(p->stacks, string));
            codes[string] = (int32_t)dictionary->offsets.n - 1;
        }
        made[i] = codes[string] - 1;
    }
    free(codes);
    return r;
}

static int add_time(struct table *table)
{
    const struct cprof_profile *p = table->p;
    struct column *column = add_column(table, "time", "l");
    int64_t *made = malloc((p->n + 1) * sizeof(*made));

    if (!made)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        made[i] = p->run.has_times ? (int64_t)(p->time[i] - p->run.start_mono) : 0;
    column->data = column->made = made;
    return 0;
}

static int add_how(struct table *table)
{
    enum { N_HOW = 32 }; /* values of enum cprof_how: codes fit into a byte */
    const struct cprof_profile *p = table->p;
    struct column *column = add_column(table, "how", "c");
    struct dictionary *dictionary = &column->dictionary;
    int8_t codes[N_HOW] = {0}; /* code + 1 */
    int8_t *made = malloc(p->n + 1);
    int r = made ? cprof_vec_push(&dictionary->offsets, 0) : -ENOMEM;

    column->data = column->made = made;
    dictionary->is_used = true;
    for (size_t i = 0; i < p->n && r >= 0; i++) {
        uint8_t how = cprof_profile_how(p, i) % N_HOW;
        if (!codes[how]) {
            char text[CPROF_HOW_TEXT];
            r = append_text(dictionary, cprof_how_text(how, text));
            codes[how] = (int8_t)(dictionary->offsets.n - 1);
        }
        made[i] = (int8_t)(codes[how] - 1);
    }
    return r;
}

static int add_n_added(struct table *table)
{
    const struct cprof_profile *p = table->p;
    struct column *column = add_column(table, "n_added", "S");

    column->data = p->n_added;
    if (!column->data)
        column->data = column->made = calloc(p->n + 1, sizeof(*p->n_added));
    return column->data ? 0 : -ENOMEM;
}

static int add_values(struct table *table, size_t type)
{
    struct cprof_profile *p = table->p;
    const char *name = cprof_stacks_text(p->stacks, p->types[type].type);
    struct column *column = add_column(table, name, "l");
    int64_t *made;
    int r;

    column->data = p->values[type];
    if (column->data)
        return 0;
    r = cprof_view_values(p, type, &made);
    if (r >= 0)
        column->data = column->made = made;
    return r;
}

static int fill_table(struct table *table)
{
    struct cprof_profile *p = table->p;
    int r = add_time(table);

    if (r < 0)
        return r;
    add_column(table, "pid", "i")->data = p->pid;
    add_column(table, "tid", "i")->data = p->tid;
    add_column(table, "cpu_id", "i")->data = p->cpu;
    if ((r = add_text(table, "thread", thread_string)) < 0 ||
        (r = add_text(table, "comm", comm_string)) < 0)
        return r;
    add_column(table, "stack", "I")->data = p->stack;
    if ((r = add_text(table, "function", function_string)) < 0 ||
        (r = add_text(table, "module", module_string)) < 0 || (r = add_how(table)) < 0 ||
        (r = add_n_added(table)) < 0)
        return r;
    for (size_t k = 0; k < p->n_types && r >= 0; k++)
        r = add_values(table, k);
    return r;
}

/* What one get_schema() or get_next() hands out, in one piece of memory: consumers may
 * move children out and release them later than their parent, so every struct in it
 * counts as a reference, and the last one released frees it. */
struct block {
    atomic_uint refs;
    struct table *table;
};
struct schema_block {
    struct block block; /* first: what private_data points to */
    struct ArrowSchema children[MAX_COLUMNS], dictionaries[MAX_COLUMNS];
    struct ArrowSchema *child_at[MAX_COLUMNS];
};
struct array_block {
    struct block block;
    struct ArrowArray children[MAX_COLUMNS], dictionaries[MAX_COLUMNS];
    struct ArrowArray *child_at[MAX_COLUMNS];
    const void *buffers[MAX_COLUMNS][2], *dictionary_buffers[MAX_COLUMNS][3];
    const void *no_validity[1];
};

static void *block_create(struct table *table, size_t size)
{
    struct block *block = calloc(1, size);

    if (block) {
        atomic_init(&block->refs, 0);
        block->table = table_ref(table);
    }
    return block;
}

static struct block *block_ref(struct block *block)
{
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
    return block;
}

static void block_unref(struct block *block)
{
    if (atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1)
        return;
    table_unref(block->table);
    free(block);
}

static void release_schema(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        if (schema->children[i]->release)
            schema->children[i]->release(schema->children[i]);
    if (schema->dictionary && schema->dictionary->release)
        schema->dictionary->release(schema->dictionary);
    schema->release = NULL;
    block_unref(schema->private_data);
}

static void release_array(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_children; i++)
        if (array->children[i]->release)
            array->children[i]->release(array->children[i]);
    if (array->dictionary && array->dictionary->release)
        array->dictionary->release(array->dictionary);
    array->release = NULL;
    block_unref(array->private_data);
}

static struct ArrowSchema schema_of(struct schema_block *block, const char *format,
                                    const char *name)
{
    return (struct ArrowSchema){.format = format,
                                .name = name,
                                .release = release_schema,
                                .private_data = block_ref(&block->block)};
}

static struct ArrowArray array_of(struct array_block *block, size_t n,
                                  const void **buffers, int64_t n_buffers)
{
    return (struct ArrowArray){.length = (int64_t)n,
                               .n_buffers = n_buffers,
                               .buffers = buffers,
                               .release = release_array,
                               .private_data = block_ref(&block->block)};
}

static int get_schema(struct ArrowArrayStream *from, struct ArrowSchema *ret)
{
    struct table *table = ((struct stream *)from->private_data)->table;
    struct schema_block *block = block_create(table, sizeof(*block));

    if (!block)
        return ENOMEM;
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];
        block->children[i] = schema_of(block, column->format, column->name);
        block->child_at[i] = &block->children[i];
        if (column->dictionary.is_used) {
            block->dictionaries[i] = schema_of(block, "u", "");
            block->children[i].dictionary = &block->dictionaries[i];
        }
    }
    *ret = schema_of(block, "+s", "");
    ret->n_children = (int64_t)table->n_columns;
    ret->children = block->child_at;
    return 0;
}

static void add_dictionary(struct array_block *block, size_t i,
                           const struct dictionary *dictionary)
{
    const void **buffers = block->dictionary_buffers[i];

    buffers[1] = dictionary->offsets.data;
    buffers[2] = dictionary->text.data ? (const void *)dictionary->text.data : "";
    block->dictionaries[i] = array_of(block, dictionary->offsets.n - 1, buffers, 3);
    block->children[i].dictionary = &block->dictionaries[i];
}

static int get_next(struct ArrowArrayStream *from, struct ArrowArray *ret)
{
    struct stream *stream = from->private_data;
    struct table *table = stream->table;
    struct array_block *block;

    if (stream->is_done) {
        memset(ret, 0, sizeof(*ret)); /* release NULL: the end */
        return 0;
    }
    block = block_create(table, sizeof(*block));
    if (!block)
        return ENOMEM;
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];
        block->buffers[i][1] = column->data ? column->data : "";
        block->children[i] = array_of(block, table->p->n, block->buffers[i], 2);
        block->child_at[i] = &block->children[i];
        if (column->dictionary.is_used)
            add_dictionary(block, i, &column->dictionary);
    }
    *ret = array_of(block, table->p->n, block->no_validity, 1);
    ret->n_children = (int64_t)table->n_columns;
    ret->children = block->child_at;
    stream->is_done = true;
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *from)
{
    (void)from;
    return "out of memory";
}

static void release_stream(struct ArrowArrayStream *from)
{
    struct stream *stream = from->private_data;

    table_unref(stream->table);
    free(stream);
    from->release = NULL;
}

int cprof_arrow_stream(struct cprof_profile *p, struct ArrowArrayStream *ret,
                       struct cprof_error *err)
{
    struct table *table = calloc(1, sizeof(*table));
    struct stream *stream = calloc(1, sizeof(*stream));
    int r = -ENOMEM;

    if (table && stream) {
        atomic_init(&table->refs, 1);
        table->p = cprof_profile_ref(p);
        r = fill_table(table);
    }
    if (r >= 0) {
        stream->table = table;
        *ret = (struct ArrowArrayStream){.get_schema = get_schema,
                                         .get_next = get_next,
                                         .get_last_error = get_last_error,
                                         .release = release_stream,
                                         .private_data = stream};
        return 0;
    }
    if (table && table->p)
        table_unref(table);
    else
        free(table);
    free(stream);
    return cprof_error_set(err, r,
                           r == -ENOMEM ? "arrow: out of memory"
                                        : "arrow: names of more than 2 GiB");
}
