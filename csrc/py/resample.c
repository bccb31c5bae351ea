#include "corepy.h"

#include "resample.h"

/* blocks() and resample(): sums by slice of time, and how sure they are. */

/* A buffer of `n` numbers (any number where n is negative), or NULL for None. */
static int get_buffer(PyObject *arg, const char *what, const char *format, Py_ssize_t n,
                      Py_buffer *ret)
{
    ret->obj = NULL;
    ret->buf = NULL;
    if (arg == Py_None)
        return 0;
    if (PyObject_GetBuffer(arg, ret, PyBUF_CONTIG_RO | PyBUF_FORMAT) < 0)
        return -1;
    if (strcmp(ret->format ? ret->format : "B", format)) {
        PyErr_Format(PyExc_TypeError, "%s: a buffer of \"%s\", not \"%s\"", what, format,
                     ret->format ? ret->format : "B");
    } else if (n >= 0 && ret->len != n * ret->itemsize) {
        PyErr_Format(PyExc_ValueError, "%s: %zd numbers, not %zd", what,
                     ret->len / ret->itemsize, n);
    } else {
        return 0;
    }
    PyBuffer_Release(ret);
    return -1;
}

static void release(Py_buffer *buffers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (buffers[i].obj)
            PyBuffer_Release(&buffers[i]);
}

enum { MAX_KEYS = 8, N_COLUMNS = 5 };

struct block_args {
    struct cprof_block_key keys[MAX_KEYS];
    struct cprof_block_rows rows;
    Py_buffer buffers[N_COLUMNS + 2 * MAX_KEYS]; /* columns, then of each key two */
    size_t n_buffers;
};

static int get_key(struct block_args *args, PyObject *item)
{
    struct cprof_block_key *key = &args->keys[args->rows.n_keys];
    Py_buffer *buffers = &args->buffers[args->n_buffers];
    PyObject *column, *table;
    unsigned int n_items;

    if (!PyArg_ParseTuple(item, "OOI", &column, &table, &n_items) ||
        get_buffer(column, "key", "I", (Py_ssize_t)args->rows.n, &buffers[0]) < 0)
        return -1;
    args->n_buffers++;
    if (get_buffer(table, "table", "I", -1, &buffers[1]) < 0)
        return -1;
    args->n_buffers++;
    *key = (struct cprof_block_key){buffers[0].buf, buffers[1].buf,
                                    (size_t)buffers[1].len / sizeof(uint32_t), n_items};
    args->rows.n_keys++;
    return 0;
}

static int get_rows(struct block_args *args, PyObject *const from[N_COLUMNS])
{
    static const struct {
        const char *name, *format;
    } columns[] = {{"values", "q"},
                   {"events", "q"},
                   {"times", "Q"},
                   {"threads", "I"},
                   {"durations", "q"}};

    for (size_t i = 0; i < N_COLUMNS; i++) {
        Py_ssize_t n = i ? (Py_ssize_t)args->rows.n : -1;
        if (get_buffer(from[i], columns[i].name, columns[i].format, n,
                       &args->buffers[i]) < 0)
            return -1;
        args->n_buffers++;
        if (!i)
            args->rows.n = (size_t)args->buffers[0].len / sizeof(int64_t);
    }
    args->rows.values = args->buffers[0].buf;
    args->rows.events = args->buffers[1].buf;
    args->rows.times = args->buffers[2].buf;
    args->rows.threads = args->buffers[3].buf;
    args->rows.durations = args->buffers[4].buf;
    args->rows.keys = args->keys;
    if (args->rows.values && !args->rows.times == !args->rows.threads)
        return 0;
    PyErr_SetString(PyExc_TypeError,
                    "blocks() needs values, and threads where times are");
    return -1;
}

static int get_keys(struct block_args *args, PyObject *keys)
{
    Py_ssize_t n = PySequence_Size(keys);

    if (n > MAX_KEYS)
        PyErr_SetString(PyExc_ValueError, "blocks() takes 8 keys at most");
    if (n < 0 || n > MAX_KEYS)
        return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(keys, i);
        int r = item ? get_key(args, item) : -1;
        Py_XDECREF(item);
        if (r < 0)
            return -1;
    }
    return 0;
}

/* The arrays as columns, which take them over. */
static PyObject *make_blocks(core_state *st, struct cprof_blocks *blocks)
{
    struct {
        void *data;
        size_t n;
        const char *format;
    } parts[] = {
        {blocks->first, blocks->n_items + 1, "Q"},
        {blocks->slice, blocks->n, "I"},
        {blocks->sum, blocks->n, "d"},
        {blocks->squares, blocks->n_items, "d"},
        {blocks->visits, blocks->n_items, "d"},
        {blocks->fourths, blocks->n_items, "d"},
    };
    enum { N = sizeof(parts) / sizeof(*parts) };
    PyObject *tuple = PyTuple_New(N);

    for (Py_ssize_t i = 0; i < N; i++) {
        PyObject *column =
            cprof_py_column(st, NULL, parts[i].data, parts[i].n, parts[i].format, true);
        if (tuple && column) {
            PyTuple_SetItem(tuple, i, column);
        } else {
            Py_XDECREF(column);
            Py_CLEAR(tuple);
        }
    }
    return tuple;
}

PyDoc_STRVAR(
    blocks_doc,
    "blocks($module, keys, values, events, times, threads, durations, start, end,\n"
    " n_slices, /)\n--\n\n"
    "Sums of rows by item and slice of time; see view_blocks.h.");
static PyObject *blocks(PyObject *module, PyObject *py_args)
{
    core_state *st = PyModule_GetState(module);
    struct block_args args = {0};
    struct cprof_blocks made;
    PyObject *keys, *from[N_COLUMNS];
    unsigned long long start, end;
    unsigned int n_slices;
    int r;

    if (!PyArg_ParseTuple(py_args, "OOOOOOKKI:blocks", &keys, &from[0], &from[1],
                          &from[2], &from[3], &from[4], &start, &end, &n_slices))
        return NULL;
    if (get_rows(&args, from) < 0 || get_keys(&args, keys) < 0) {
        release(args.buffers, args.n_buffers);
        return NULL;
    }
    args.rows.start = start;
    args.rows.end = end;
    args.rows.n_slices = n_slices;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_blocks(&args.rows, &made);
    Py_END_ALLOW_THREADS
    release(args.buffers, args.n_buffers);
    return r < 0 ? cprof_py_raise_code(st, r, "view") : make_blocks(st, &made);
}

/* [(top, bottom, variance, df)] */
static PyObject *make_estimates(const struct cprof_ratio_estimate *estimates, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);

    for (size_t i = 0; list && i < n; i++) {
        PyObject *row = Py_BuildValue("(dddd)", estimates[i].top, estimates[i].bottom,
                                      estimates[i].variance, estimates[i].df);
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *run(core_state *st, const struct cprof_blocks *made,
                     const Py_buffer *ratios, uint32_t n_draws, uint64_t seed)
{
    size_t n = (size_t)ratios->len / sizeof(struct cprof_ratio);
    struct cprof_ratio_estimate *estimates = calloc(n + 1, sizeof(*estimates));
    PyObject *list;
    int r = -ENOMEM;

    Py_BEGIN_ALLOW_THREADS
    if (estimates)
        r = cprof_resample(made, ratios->buf, n, n_draws, seed, estimates);
    Py_END_ALLOW_THREADS
    list = r < 0 ? cprof_py_raise_code(st, r, "resample") : make_estimates(estimates, n);
    free(estimates);
    return list;
}

/* Whether the cells are ones that blocks() may have made. */
static bool are_blocks(const struct cprof_blocks *blocks)
{
    for (size_t i = 0; i < blocks->n_items; i++)
        if (blocks->first[i] > blocks->first[i + 1])
            return false;
    for (size_t i = 0; i < blocks->n; i++)
        if (blocks->slice[i] >= blocks->n_slices)
            return false;
    return blocks->first[0] == 0 && blocks->first[blocks->n_items] == blocks->n;
}

PyDoc_STRVAR(resample_doc,
             "resample($module, first, slice, sum, n_slices, ratios, n_draws, seed, /)\n"
             "--\n\n[(top, bottom, variance of top / bottom, df)]; see resample.h.");
static PyObject *resample(PyObject *module, PyObject *args)
{
    core_state *st = PyModule_GetState(module);
    static const char *const formats[] = {"Q", "I", "d", "I"};
    static const char *const names[] = {"first", "slice", "sum", "ratios"};
    PyObject *from[4], *list = NULL;
    unsigned int n_slices, n_draws;
    struct cprof_blocks made = {0};
    unsigned long long seed;
    Py_buffer buffers[4];
    size_t n = 0;

    if (!PyArg_ParseTuple(args, "OOOIOIK:resample", &from[0], &from[1], &from[2],
                          &n_slices, &from[3], &n_draws, &seed))
        return NULL;
    while (n < 4 && get_buffer(from[n], names[n], formats[n], -1, &buffers[n]) >= 0)
        n++;
    if (n == 4 && buffers[0].buf && buffers[0].len &&
        buffers[1].len / 4 == buffers[2].len / 8) {
        made = (struct cprof_blocks){.n_items = (size_t)buffers[0].len / 8 - 1,
                                     .n = (size_t)buffers[1].len / 4,
                                     .n_slices = n_slices,
                                     .first = buffers[0].buf,
                                     .slice = buffers[1].buf,
                                     .sum = buffers[2].buf};
        if (are_blocks(&made))
            list = run(st, &made, &buffers[3], n_draws, seed);
    }
    release(buffers, n);
    if (!list && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "resample() takes what blocks() made");
    return list;
}

static PyMethodDef methods[] = {
    {"blocks", blocks, METH_VARARGS, blocks_doc},
    {"resample", resample, METH_VARARGS, resample_doc},
    {NULL, NULL, 0, NULL},
};

int cprof_py_add_resample(PyObject *module, core_state *st)
{
    (void)st;
    return PyModule_AddFunctions(module, methods);
}
