#include "corepy.h"

#include "view.h"

/* Methods of Profile that make other profiles from its rows, or sums of them. */

/* O& converter: a time in ns that is not negative. */
static int convert_time(PyObject *arg, void *ret)
{
    unsigned long long time = PyLong_AsUnsignedLongLong(arg);

    if (time == (unsigned long long)-1 && PyErr_Occurred())
        return 0;
    *(uint64_t *)ret = time;
    return 1;
}

PyObject *cprof_py_profile_window(PyObject *op, PyObject *args)
{
    struct cprof_profile *view;
    struct cprof_error err;
    uint64_t start, end;
    int r;

    if (!PyArg_ParseTuple(args, "O&O&:window", convert_time, &start, convert_time, &end))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_window(cprof_py_profile_of(op), start, end, &view, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(cprof_py_state_of(op), &err);
    return cprof_py_profile(cprof_py_state_of(op), view);
}

PyObject *cprof_py_profile_ordered(PyObject *op, PyObject *unused)
{
    struct cprof_profile *view;
    int r;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_profile_ordered_frame(cprof_py_profile_of(op), &view);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "stack");
    return cprof_py_profile(cprof_py_state_of(op), view);
}

/* A byte mask of `n` entries from bytes or None; -1 with an exception. */
static int get_mask(PyObject *arg, const char *name, size_t n, const uint8_t **ret)
{
    char *bytes;
    Py_ssize_t size;

    if (arg == Py_None)
        return 0;
    if (PyBytes_AsStringAndSize(arg, &bytes, &size) < 0)
        return -1;
    if ((size_t)size != n) {
        PyErr_Format(PyExc_ValueError, "the %s mask has %zd bytes for %zu entries", name,
                     size, n);
        return -1;
    }
    *ret = (const uint8_t *)bytes;
    return 0;
}

PyObject *cprof_py_profile_filter(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"thread", "module", "under", NULL};
    const struct cprof_profile *p = cprof_py_profile_of(op);
    PyObject *thread = Py_None, *module = Py_None, *under = Py_None;
    struct cprof_filter filter = {0};
    struct cprof_profile *view;
    struct cprof_error err;
    int r;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOO:filter", names, &thread,
                                     &module, &under) ||
        get_mask(thread, "thread", p->stacks->threads.n, &filter.thread) < 0 ||
        get_mask(module, "module", p->stacks->mappings.n, &filter.module) < 0 ||
        get_mask(under, "under", p->stacks->functions.n, &filter.under) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_filter(p, &filter, &view, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(cprof_py_state_of(op), &err);
    return cprof_py_profile(cprof_py_state_of(op), view);
}

/* A pair of masks, over functions and over mappings, from a tuple or None. */
static int get_matches(PyObject *arg, const char *name, const struct cprof_stacks *s,
                       struct cprof_matches *ret)
{
    if (arg == Py_None)
        return 0;
    if (!PyTuple_Check(arg) || PyTuple_Size(arg) != 2 ||
        !PyBytes_Check(PyTuple_GetItem(arg, 0)) ||
        !PyBytes_Check(PyTuple_GetItem(arg, 1))) {
        PyErr_Format(PyExc_TypeError, "%s is a pair of bytes or None", name);
        return -1;
    }
    if (get_mask(PyTuple_GetItem(arg, 0), name, s->functions.n, &ret->functions) < 0 ||
        get_mask(PyTuple_GetItem(arg, 1), name, s->mappings.n, &ret->mappings) < 0)
        return -1;
    return 0;
}

PyObject *cprof_py_profile_refine(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"drop",      "ignore",     "focus",     "hide", "show",
                            "show_from", "prune_from", "noinlines", NULL};
    enum { N_MATCHES = 7 };
    const struct cprof_profile *p = cprof_py_profile_of(op);
    struct cprof_refinement how = {0};
    struct cprof_matches *const to[N_MATCHES] = {
        &how.drop, &how.ignore,    &how.focus,     &how.hide,
        &how.show, &how.show_from, &how.prune_from};
    PyObject *given[N_MATCHES] = {Py_None, Py_None, Py_None, Py_None,
                                  Py_None, Py_None, Py_None};
    struct cprof_profile *view;
    struct cprof_error err;
    int noinlines = 0, r;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOOOOOp:refine", names, &given[0],
                                     &given[1], &given[2], &given[3], &given[4],
                                     &given[5], &given[6], &noinlines))
        return NULL;
    for (size_t i = 0; i < N_MATCHES; i++)
        if (get_matches(given[i], names[i], p->stacks, to[i]) < 0)
            return NULL;
    how.noinlines = noinlines;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_refine(p, &how, &view, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(cprof_py_state_of(op), &err);
    return cprof_py_profile(cprof_py_state_of(op), view);
}

PyObject *cprof_py_profile_select(PyObject *op, PyObject *rows)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    const uint8_t *mask = NULL;
    struct cprof_profile *view;
    struct cprof_error err;
    int r;

    if (!PyBytes_Check(rows)) {
        PyErr_SetString(PyExc_TypeError, "select() takes bytes, one for each row");
        return NULL;
    }
    if (get_mask(rows, "row", p->n, &mask) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_select(p, mask, &view, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(cprof_py_state_of(op), &err);
    return cprof_py_profile(cprof_py_state_of(op), view);
}

/* What group() is given: as many buffers as keys. */
struct keys {
    Py_buffer *buffers;
    const uint32_t **data;
    size_t n; /* held buffers */
};

static void keys_release(struct keys *keys)
{
    while (keys->n)
        PyBuffer_Release(&keys->buffers[--keys->n]);
    free(keys->buffers);
    free(keys->data);
}

static int keys_add(struct keys *keys, PyObject *key, size_t n_rows)
{
    Py_buffer *buffer = &keys->buffers[keys->n];

    if (PyObject_GetBuffer(key, buffer, PyBUF_CONTIG_RO | PyBUF_FORMAT) < 0)
        return -1;
    keys->data[keys->n++] = buffer->buf;
    if (strcmp(buffer->format ? buffer->format : "B", "I")) {
        PyErr_Format(PyExc_TypeError, "a key is a buffer of uint32 (\"I\"), not \"%s\"",
                     buffer->format ? buffer->format : "B");
        return -1;
    }
    if ((size_t)buffer->len != n_rows * sizeof(uint32_t)) {
        PyErr_Format(PyExc_ValueError, "a key has %zd numbers for %zu rows",
                     buffer->len / (Py_ssize_t)sizeof(uint32_t), n_rows);
        return -1;
    }
    return 0;
}

static int keys_init(struct keys *keys, PyObject *list, size_t n_rows)
{
    size_t n = (size_t)PyList_Size(list);

    *keys = (struct keys){.buffers = calloc(n + 1, sizeof(*keys->buffers)),
                          .data = calloc(n + 1, sizeof(*keys->data))};
    if (!keys->buffers || !keys->data) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (keys_add(keys, PyList_GetItem(list, (Py_ssize_t)i), n_rows) < 0)
            return -1;
    return 0;
}

/* list.append(column), of data that is taken out of *data. */
static int append_column(PyObject *list, core_state *st, void *data_at, size_t n,
                         const char *format)
{
    PyObject *column;
    void *data, *none = NULL;
    int r;

    memcpy(&data, data_at, sizeof(data)); /* the slot is a T *: copy, do not alias */
    memcpy(data_at, &none, sizeof(none));
    column = cprof_py_column(st, NULL, data, n, format, true);
    r = column ? PyList_Append(list, column) : -1;
    Py_XDECREF(column);
    return r;
}

/* The keys of each group: those of its first row. */
static int append_keys(PyObject *list, core_state *st, const struct keys *keys,
                       const struct cprof_grouping *grouping)
{
    for (size_t k = 0; k < keys->n; k++) {
        uint32_t *of_group = malloc((grouping->n + 1) * sizeof(*of_group));
        if (!of_group) {
            PyErr_NoMemory();
            return -1;
        }
        for (size_t i = 0; i < grouping->n; i++)
            of_group[i] = keys->data[k][grouping->first[i]];
        if (append_column(list, st, &of_group, grouping->n, "I") < 0)
            return -1;
    }
    return 0;
}

static PyObject *make_groups(PyObject *op, const struct keys *keys,
                             struct cprof_grouping *grouping)
{
    size_t n = grouping->n, n_types = cprof_py_profile_of(op)->n_types;
    core_state *st = cprof_py_state_of(op);
    PyObject *of_keys = PyList_New(0), *sums = PyList_New(0), *rows = PyList_New(0);
    PyObject *ret = NULL;
    bool is_made = of_keys && sums && rows && !append_keys(of_keys, st, keys, grouping) &&
                   !append_column(rows, st, &grouping->rows, n, "I");

    for (size_t k = 0; is_made && k < n_types; k++)
        is_made = !append_column(sums, st, &grouping->values[k], n, "q");
    if (is_made)
        ret = Py_BuildValue("(OOO)", of_keys, sums, PyList_GetItem(rows, 0));
    Py_XDECREF(of_keys);
    Py_XDECREF(sums);
    Py_XDECREF(rows);
    return ret;
}

PyObject *cprof_py_profile_group(PyObject *op, PyObject *sequence)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    PyObject *list = PySequence_List(sequence), *ret = NULL;
    struct cprof_grouping grouping;
    struct keys keys;
    int r;

    if (!list)
        return NULL;
    if (keys_init(&keys, list, p->n) == 0) {
        Py_BEGIN_ALLOW_THREADS
        r = cprof_view_group(p, keys.data, keys.n, &grouping);
        Py_END_ALLOW_THREADS
        if (r < 0) {
            cprof_py_raise_code(cprof_py_state_of(op), r, "view");
        } else {
            ret = make_groups(op, &keys, &grouping);
            cprof_grouping_deinit(&grouping);
        }
    }
    keys_release(&keys);
    Py_DECREF(list);
    return ret;
}
