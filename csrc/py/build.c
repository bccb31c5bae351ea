#include "corepy.h"

#include <math.h>
#include <stddef.h>

#include "build.h"

/* build(): tables of Python objects -> tables of the core. Everything that the core
 * borrows is kept alive by `kept`. */
struct source {
    PyObject *tables, *kept;
    struct cprof_tables to;
    CPROF_VEC(Py_buffer) buffers;
    CPROF_VEC(void *) arrays;
};

#define ANY SIZE_MAX /* length of a column before the first one is known */

static void source_deinit(struct source *from)
{
    for (size_t i = 0; i < from->buffers.n; i++)
        PyBuffer_Release(&from->buffers.data[i]);
    for (size_t i = 0; i < from->arrays.n; i++)
        free(from->arrays.data[i]);
    free(from->buffers.data);
    free(from->arrays.data);
    Py_XDECREF(from->kept);
}

/* An entry that has to be there, borrowed; NULL with KeyError. */
static PyObject *entry_of(PyObject *dict, const char *key)
{
    PyObject *entry = PyDict_GetItemString(dict, key);

    if (!entry)
        PyErr_SetString(PyExc_KeyError, key);
    return entry;
}

static PyObject *keep(struct source *from, PyObject *made)
{
    int r = made ? PyList_Append(from->kept, made) : -1;

    Py_XDECREF(made);
    return r < 0 ? NULL : made;
}

/* `n` zeroed things of `size` bytes that live as long as the source. */
static void *make_array(struct source *from, size_t n, size_t size)
{
    void *array = calloc(n + 1, size);

    if (array && cprof_vec_push(&from->arrays, array) < 0) {
        free(array);
        array = NULL;
    }
    if (!array)
        PyErr_NoMemory();
    return array;
}

/* Each item of the sequence `key` by `convert`, into an array of the core. */
static int take_list(struct source *from, const char *key, size_t size, void *array_at,
                     size_t *n,
                     int (*convert)(struct source *from, PyObject *item, void *to))
{
    PyObject *entry = entry_of(from->tables, key);
    PyObject *list = entry ? keep(from, PySequence_List(entry)) : NULL;
    char *array;

    if (!list)
        return -1;
    *n = (size_t)PyList_Size(list);
    array = make_array(from, *n, size);
    if (!array)
        return -1;
    memcpy(array_at, &array, sizeof(array)); /* the slot is a T *: copy, do not alias */
    for (size_t i = 0; i < *n; i++) {
        PyObject *item = PyList_GetItem(list, (Py_ssize_t)i);
        if (!PyTuple_Check(item)) {
            PyErr_Format(PyExc_TypeError, "build: %s are tuples", key);
            return -1;
        }
        if (convert(from, item, array + i * size) < 0)
            return -1;
    }
    return 0;
}

/* O& converter: an address, 0 <= n < 2^64. */
static int convert_u64(PyObject *arg, void *to)
{
    unsigned long long n = PyLong_AsUnsignedLongLong(arg);

    if (n == (unsigned long long)-1 && PyErr_Occurred())
        return 0;
    *(uint64_t *)to = n;
    return 1;
}

static int convert_i64(PyObject *arg, void *to)
{
    long long n = PyLong_AsLongLong(arg);

    if (n == -1 && PyErr_Occurred())
        return 0;
    *(int64_t *)to = n;
    return 1;
}

static int take_type(struct source *from, PyObject *item, void *to_arg)
{
    struct cprof_build_type *to = to_arg;

    (void)from;
    return PyArg_ParseTuple(item, "ss;build: sample_types", &to->type, &to->unit) ? 0
                                                                                  : -1;
}

static int take_mapping(struct source *from, PyObject *item, void *to_arg)
{
    struct cprof_build_mapping *to = to_arg;

    (void)from;
    return PyArg_ParseTuple(item, "O&O&O&sss|sI;build: mappings", convert_u64, &to->start,
                            convert_u64, &to->limit, convert_u64, &to->offset, &to->file,
                            &to->module, &to->build_id, &to->root, &to->flags)
               ? 0
               : -1;
}

static int take_function(struct source *from, PyObject *item, void *to_arg)
{
    struct cprof_build_function *to = to_arg;

    (void)from;
    return PyArg_ParseTuple(item, "sssO&s;build: functions", &to->name, &to->system_name,
                            &to->filename, convert_i64, &to->start_line, &to->module)
               ? 0
               : -1;
}

/* ---- threads ---- */

/* (key, text or number [, unit]) */
static int take_label(PyObject *item, struct cprof_build_label *to)
{
    PyObject *value;

    to->unit = "";
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "build: labels are tuples, or a dict");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "sO|s;build: labels", &to->key, &value, &to->unit))
        return -1;
    if (!PyUnicode_Check(value))
        return convert_i64(value, &to->number) ? 0 : -1;
    to->text = PyUnicode_AsUTF8AndSize(value, NULL);
    return to->text ? 0 : -1;
}

static int take_labels(struct source *from, PyObject *labels,
                       struct cprof_build_thread *to)
{
    PyObject *list =
        keep(from, PyDict_Check(labels) ? PyDict_Items(labels) : PySequence_List(labels));
    struct cprof_build_label *array;

    if (!list)
        return -1;
    to->n_labels = (size_t)PyList_Size(list);
    array = make_array(from, to->n_labels, sizeof(*array));
    if (!array)
        return -1;
    to->labels = array;
    for (size_t i = 0; i < to->n_labels; i++)
        if (take_label(PyList_GetItem(list, (Py_ssize_t)i), &array[i]) < 0)
            return -1;
    return 0;
}

static int take_thread(struct source *from, PyObject *item, void *to_arg)
{
    struct cprof_build_thread *to = to_arg;
    PyObject *labels = NULL;

    if (!PyArg_ParseTuple(item, "iiss|O;build: threads", &to->pid, &to->tid, &to->name,
                          &to->comm, &labels))
        return -1;
    return labels && PyObject_IsTrue(labels) ? take_labels(from, labels, to) : 0;
}

/* ---- columns ---- */

/* Integers of `size` bytes, one after the other. */
static int check_buffer(const Py_buffer *view, const char *what, size_t size)
{
    const char *format = view->format ? view->format : "B";
    size_t n = strlen(format);

    if (view->itemsize != (Py_ssize_t)size || !strchr("bBhHiIlLqQ", format[n - 1]) ||
        view->ndim > 1) {
        PyErr_Format(PyExc_TypeError, "build: %s is a buffer of integers of %zu bytes",
                     what, size);
        return -1;
    }
    if (view->len && (uintptr_t)view->buf % size) {
        PyErr_Format(PyExc_TypeError, "build: the memory of %s is not aligned", what);
        return -1;
    }
    return 0;
}

/* One column into *data_at; its length into *n, or compared with that where it is not
 * ANY. None leaves it NULL. */
static int take_buffer(struct source *from, PyObject *column, const char *what,
                       size_t size, void *data_at, size_t *n)
{
    Py_buffer *view;
    size_t n_here;

    if (column == Py_None)
        return 0;
    if (cprof_vec_reserve(&from->buffers, 1) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    view = &from->buffers.data[from->buffers.n];
    if (PyObject_GetBuffer(column, view, PyBUF_CONTIG_RO | PyBUF_FORMAT) < 0)
        return -1;
    from->buffers.n++;
    if (check_buffer(view, what, size) < 0)
        return -1;
    n_here = (size_t)view->len / size;
    if (*n == ANY)
        *n = n_here;
    if (*n != n_here) {
        PyErr_Format(PyExc_ValueError, "build: %s has %zu entries, not %zu", what, n_here,
                     *n);
        return -1;
    }
    memcpy(data_at, &view->buf, sizeof(view->buf));
    return 0;
}

struct column {
    const char *name;
    size_t size, offset; /* of an entry; of the pointer in struct cprof_tables */
    bool is_optional;
};

#define COLUMN(name, size, field, is_optional)                                           \
    {                                                                                    \
        name, size, offsetof(struct cprof_tables, field), is_optional                    \
    }

static const struct column LOCATIONS[] = {
    COLUMN("locations: address", 8, address, false),
    COLUMN("locations: mapping", 4, mapping, false),
    COLUMN("locations: is_folded", 1, is_folded, true),
};
static const struct column LINES[] = {
    COLUMN("lines: location", 4, line_location, false),
    COLUMN("lines: function", 4, line_function, false),
    COLUMN("lines: line", 8, line, false),
    COLUMN("lines: column", 4, line_column, false),
};
static const struct column NODES[] = {
    COLUMN("nodes: parent", 4, parent, false),
    COLUMN("nodes: location", 4, location, false),
};
static const struct column ROWS[] = {
    COLUMN("thread", 4, thread, false), COLUMN("stack", 4, stack, false),
    COLUMN("time", 8, time, true),      COLUMN("cpu_id", 4, cpu, true),
    COLUMN("how", 1, how, true),        COLUMN("n_added", 2, n_added, true),
};
enum { N_ROW_COLUMNS = sizeof(ROWS) / sizeof(ROWS[0]) };

static int take_column(struct source *from, PyObject *column, const struct column *kind,
                       size_t *n)
{
    if (!kind->is_optional && (!column || column == Py_None)) {
        PyErr_Format(PyExc_ValueError, "build: there is no column %s", kind->name);
        return -1;
    }
    return column ? take_buffer(from, column, kind->name, kind->size,
                                (char *)&from->to + kind->offset, n)
                  : 0;
}

/* The tuple `key` of columns of one length. */
static int take_columns(struct source *from, const char *key, const struct column *kinds,
                        size_t n_kinds, size_t *n)
{
    PyObject *entry = entry_of(from->tables, key);
    PyObject *list = entry ? keep(from, PySequence_List(entry)) : NULL;
    size_t n_given;

    if (!list)
        return -1;
    n_given = (size_t)PyList_Size(list);
    *n = ANY;
    for (size_t i = 0; i < n_kinds; i++)
        if (take_column(from, i < n_given ? PyList_GetItem(list, (Py_ssize_t)i) : NULL,
                        &kinds[i], n) < 0)
            return -1;
    return 0;
}

static int take_values(struct source *from, PyObject *rows)
{
    PyObject *entry = entry_of(rows, "values");
    PyObject *list = entry ? keep(from, PySequence_List(entry)) : NULL;

    if (!list)
        return -1;
    if ((size_t)PyList_Size(list) != from->to.n_types) {
        PyErr_Format(PyExc_ValueError,
                     "build: %zd columns of values for %zu sample types",
                     PyList_Size(list), from->to.n_types);
        return -1;
    }
    for (size_t k = 0; k < from->to.n_types && k < CPROF_MAX_SAMPLE_TYPES; k++)
        if (take_buffer(from, PyList_GetItem(list, (Py_ssize_t)k), "values",
                        sizeof(int64_t), &from->to.values[k], &from->to.n_rows) < 0)
            return -1;
    return 0;
}

static int take_rows(struct source *from)
{
    PyObject *rows = entry_of(from->tables, "rows");

    if (!rows)
        return -1;
    if (!PyDict_Check(rows)) {
        PyErr_SetString(PyExc_TypeError, "build: rows is a dict of columns");
        return -1;
    }
    from->to.n_rows = ANY;
    for (size_t i = 0; i < N_ROW_COLUMNS; i++)
        if (take_column(from, PyDict_GetItemString(rows, ROWS[i].name), &ROWS[i],
                        &from->to.n_rows) < 0)
            return -1;
    return take_values(from, rows);
}

/* ---- all ---- */

#define LIST(from, key, field, convert)                                                  \
    take_list((from), (key), sizeof(*(from)->to.field), &(from)->to.field,               \
              &(from)->to.n_##field, (convert))

static int take_tables(struct source *from)
{
    struct cprof_tables *to = &from->to;

    from->kept = PyList_New(0);
    return !from->kept || LIST(from, "sample_types", types, take_type) < 0 ||
                   LIST(from, "mappings", mappings, take_mapping) < 0 ||
                   LIST(from, "functions", functions, take_function) < 0 ||
                   take_columns(from, "locations", LOCATIONS, 3, &to->n_locations) < 0 ||
                   take_columns(from, "lines", LINES, 4, &to->n_lines) < 0 ||
                   take_columns(from, "nodes", NODES, 2, &to->n_nodes) < 0 ||
                   LIST(from, "threads", threads, take_thread) < 0 || take_rows(from) < 0
               ? -1
               : 0;
}

static int take_mark(struct cprof_profile *p, PyObject *item)
{
    struct cprof_mark mark;

    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "build: marks are tuples");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "O&II;build: marks", convert_u64, &mark.time, &mark.kind,
                          &mark.n))
        return -1;
    if (cprof_vec_push(&p->marks, mark) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int take_comment(struct cprof_profile *p, PyObject *item)
{
    const char *text = PyUnicode_AsUTF8AndSize(item, NULL);

    if (!text)
        return -1;
    if (cprof_profile_add_comment(p, text) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int take_each(PyObject *tables, const char *key, struct cprof_profile *p,
                     int (*take)(struct cprof_profile *p, PyObject *item))
{
    PyObject *entry = PyDict_GetItemString(tables, key);
    PyObject *list = entry ? PySequence_List(entry) : NULL;
    int r = entry && !list ? -1 : 0;

    for (Py_ssize_t i = 0; list && r == 0 && i < PyList_Size(list); i++)
        r = take(p, PyList_GetItem(list, i));
    Py_XDECREF(list);
    return r;
}

/* The seconds that the profile covers. */
static int take_span(PyObject *tables, struct cprof_profile *p)
{
    PyObject *span = PyDict_GetItemString(tables, "span");

    if (!span)
        return 0;
    if (!PyTuple_Check(span)) {
        PyErr_SetString(PyExc_TypeError, "build: span is (from, to)");
        return -1;
    }
    if (!PyArg_ParseTuple(span, "dd;build: span", &p->from, &p->to))
        return -1;
    if (isfinite(p->from) && isfinite(p->to) && p->from <= p->to)
        return 0;
    PyErr_SetString(PyExc_ValueError, "build: span is no span of seconds");
    return -1;
}

/* What is known of the recording: into a profile that nobody has seen yet. */
static int take_facts(PyObject *tables, struct cprof_profile *p)
{
    PyObject *run = PyDict_GetItemString(tables, "run");
    PyObject *type = PyDict_GetItemString(tables, "default_type");

    if ((run && cprof_py_set_run(p, run) < 0) ||
        (type && cprof_py_set_fact(p, "default_type", type) < 0))
        return -1;
    if (p->run.main_mapping && p->run.main_mapping >= p->stacks->mappings.n) {
        PyErr_Format(PyExc_ValueError, "build: there is no mapping %u",
                     p->run.main_mapping);
        return -1;
    }
    if (take_span(tables, p) < 0 || take_each(tables, "marks", p, take_mark) < 0)
        return -1;
    return take_each(tables, "comments", p, take_comment);
}

PyDoc_STRVAR(build_doc, "build($module, tables, name='', /)\n--\n\n"
                        "A Profile from plain tables; see _core.pyi. `name` stands in\n"
                        "messages.");
static PyObject *build(PyObject *module, PyObject *args)
{
    core_state *st = PyModule_GetState(module);
    struct source from = {.to = {.name = "tables"}};
    struct cprof_profile *profile = NULL;
    struct cprof_error err;
    int r = -1;

    if (!PyArg_ParseTuple(args, "O!|s:build", &PyDict_Type, &from.tables, &from.to.name))
        return NULL;
    if (take_tables(&from) == 0) {
        Py_BEGIN_ALLOW_THREADS
        r = cprof_build(&from.to, &profile, &err);
        Py_END_ALLOW_THREADS
        if (r < 0)
            cprof_py_raise(st, &err);
    }
    source_deinit(&from);
    if (r == 0 && take_facts(from.tables, profile) < 0) {
        cprof_profile_unref(profile);
        r = -1;
    }
    return r < 0 ? NULL : cprof_py_profile(st, profile);
}

/* ---- the other way ---- */

static const struct {
    const char *key, *format;
    enum cprof_build_column column;
} TABLES[] = {
    {"locations", "Q", CPROF_BUILD_ADDRESS},   {"locations", "I", CPROF_BUILD_MAPPING},
    {"locations", "B", CPROF_BUILD_IS_FOLDED}, {"lines", "I", CPROF_BUILD_LINE_LOCATION},
    {"lines", "I", CPROF_BUILD_LINE_FUNCTION}, {"lines", "q", CPROF_BUILD_LINE},
    {"lines", "I", CPROF_BUILD_LINE_COLUMN},   {"nodes", "I", CPROF_BUILD_PARENT},
    {"nodes", "I", CPROF_BUILD_LOCATION},
};

static PyObject *make_column(PyObject *op, size_t i, size_t first)
{
    struct cprof_profile *p = cprof_py_profile_of(op);
    core_state *st = cprof_py_state_of(op);
    void *data;
    size_t n;
    int r;

    Py_BEGIN_ALLOW_THREADS
    r = cprof_build_column(p->stacks, TABLES[i].column, first, &data, &n);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(st, r, "build");
    return cprof_py_column(st, p, data, n, TABLES[i].format, true);
}

static int append_column(PyObject *tables, PyObject *op, size_t i, size_t first)
{
    PyObject *list = PyDict_GetItemString(tables, TABLES[i].key);
    PyObject *column = make_column(op, i, first);
    int r = column ? PyList_Append(list, column) : -1;

    Py_XDECREF(column);
    return r;
}

PyObject *cprof_py_profile_tables(PyObject *op, PyObject *args)
{
    Py_ssize_t location = 0, node = 0;
    PyObject *tables;
    int r = 0;

    if (!PyArg_ParseTuple(args, "|nn:tables", &location, &node))
        return NULL;
    tables = Py_BuildValue("{s[]s[]s[]}", "locations", "lines", "nodes");
    for (size_t i = 0; tables && i < sizeof(TABLES) / sizeof(TABLES[0]) && r == 0; i++)
        r = append_column(
            tables, op, i,
            (size_t)(TABLES[i].column < CPROF_BUILD_PARENT ? location : node));
    if (r < 0)
        Py_CLEAR(tables);
    return tables;
}

static PyMethodDef functions[] = {
    {"build", build, METH_VARARGS, build_doc},
    {NULL, NULL, 0, NULL},
};

int cprof_py_add_build(PyObject *module, core_state *st)
{
    (void)st;
    return PyModule_AddFunctions(module, functions);
}
