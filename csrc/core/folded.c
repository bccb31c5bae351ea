#define _GNU_SOURCE /* qsort_r */
#include <stdio.h>

#include "outfile.h"
#include "pprof.h"
#include "view.h"

/* Deep stacks of long names make a text far larger than the profile. */
enum { FOLDED_MAX = 1 << 30 };

/* One line: where its text stands in `text`, without the number. */
struct line {
    size_t at, n;
    int64_t value;
};
struct folded {
    const struct cprof_stacks *stacks;
    CPROF_VEC(char) text;
    CPROF_VEC(struct line) lines;
    CPROF_VEC(uint32_t) path; /* names from a leaf to the root */
};

static int append(struct folded *f, const char *text, size_t n)
{
    if (n > FOLDED_MAX - f->text.n)
        return -EFBIG;
    if (cprof_vec_reserve(&f->text, n) < 0)
        return -ENOMEM;
    memcpy(f->text.data + f->text.n, text, n);
    f->text.n += n;
    return 0;
}

/* A name as one field of a line. */
static int append_name(struct folded *f, uint32_t string)
{
    const char *name = cprof_stacks_text(f->stacks, string);
    size_t start = f->text.n;
    int r;

    if (!*name)
        name = "[unknown]";
    r = append(f, name, strlen(name));
    if (r < 0)
        return r;
    for (char *c = f->text.data + start; c < f->text.data + f->text.n; c++) {
        if (*c == ';')
            *c = ':';
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    }
    return 0;
}

static int add_line(struct folded *f, const struct cprof_tree_node *tree, size_t leaf)
{
    struct line line = {.at = f->text.n, .value = tree[leaf].self};

    f->path.n = 0;
    for (size_t at = leaf; at; at = tree[at].parent)
        if (cprof_vec_push(&f->path, tree[at].name) < 0)
            return -ENOMEM;
    for (size_t i = f->path.n; i-- > 0;) {
        int r = append_name(f, f->path.data[i]);
        if (r >= 0 && i)
            r = append(f, ";", 1);
        if (r < 0)
            return r;
    }
    line.n = f->text.n - line.at;
    return cprof_vec_push(&f->lines, line);
}

static int compare_lines(const void *a_arg, const void *b_arg, void *text_arg)
{
    const struct line *a = a_arg, *b = b_arg;
    const char *text = text_arg;
    int r = memcmp(text + a->at, text + b->at, a->n < b->n ? a->n : b->n);

    return r ? r : (a->n > b->n) - (a->n < b->n);
}

/* Lines in order, equal ones as one: modules are not told apart in this format. */
static int print_lines(struct folded *f, char **ret, size_t *n_ret)
{
    size_t n = 0, capacity = f->text.n + 22 * f->lines.n + 1, at = 0;
    char *out = malloc(capacity);

    if (!out)
        return -ENOMEM;
    if (f->lines.n)
        qsort_r(f->lines.data, f->lines.n, sizeof(*f->lines.data), compare_lines,
                f->text.data);
    for (size_t i = 0; i < f->lines.n; i++) {
        struct line *line = &f->lines.data[i];
        if (n && !compare_lines(&f->lines.data[n - 1], line, f->text.data))
            f->lines.data[n - 1].value =
                cprof_sum(f->lines.data[n - 1].value, line->value);
        else
            f->lines.data[n++] = *line;
    }
    for (size_t i = 0; i < n; i++) {
        const struct line *line = &f->lines.data[i];
        memcpy(out + at, f->text.data + line->at, line->n);
        at += line->n;
        at +=
            (size_t)snprintf(out + at, capacity - at, " %lld\n", (long long)line->value);
    }
    *ret = out;
    *n_ret = at;
    return 0;
}

static int fold(const struct cprof_profile *p, size_t type, char **ret, size_t *n)
{
    struct folded f = {.stacks = p->stacks};
    struct cprof_tree_node *tree = NULL;
    size_t n_nodes = 0;
    int r = cprof_view_tree(p, type, &tree, &n_nodes);

    for (size_t i = 1; i < n_nodes && r >= 0; i++)
        if (tree[i].self)
            r = add_line(&f, tree, i);
    if (r >= 0)
        r = print_lines(&f, ret, n);
    free(tree);
    free(f.text.data);
    free(f.lines.data);
    free(f.path.data);
    return r;
}

int cprof_folded_write(const struct cprof_profile *p, size_t type, const char *path,
                       struct cprof_error *err)
{
    char *text;
    size_t n;
    int r = fold(p, type, &text, &n);

    if (r == -EINVAL)
        return cprof_error_set(err, r, "folded: there is no sample type %zu", type);
    if (r < 0)
        return cprof_error_set(err, r,
                               r == -EFBIG ? "folded: more than 1 GiB of text"
                                           : "folded: out of memory");
    r = cprof_outfile_write(path, text, n, "folded", err);
    free(text);
    return r;
}
