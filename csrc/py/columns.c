#include "corepy.h"

#include <stddef.h>

#include "columns.h"

/* encode_column() and decode_column(): buffers <-> blocks of columns.h. */

PyDoc_STRVAR(encode_column_doc,
             "encode_column($module, numbers, kind=0, base=0, added=0, /)\n--\n\n"
             "A block with the integers of a buffer; see columns.h.");
static PyObject *encode_column(PyObject *module, PyObject *args)
{
    struct cprof_column_format format = {0};
    unsigned long long base = 0, added = 0;
    unsigned kind = CPROF_COLUMN_PLAIN;
    int r;
    PyObject *ret = NULL;
    uint8_t *block;
    Py_buffer view;
    size_t n = 0;

    if (!PyArg_ParseTuple(args, "y*|IKK:encode_column", &view, &kind, &base, &added))
        return NULL;
    format.width = (size_t)view.itemsize;
    format.kind = kind;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_columns_encode(view.buf, (size_t)(view.len / view.itemsize), &format, base,
                             added, &block, &n);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    if (r < 0)
        return cprof_py_raise_code(PyModule_GetState(module), r, "columns");
    ret = PyBytes_FromStringAndSize((const char *)block, (Py_ssize_t)n);
    free(block);
    return ret;
}

struct source { /* what is decoded, and what keeps it alive */
    CPROF_VEC(struct cprof_column_part) parts;
    CPROF_VEC(Py_buffer) buffers;
};

static void source_deinit(struct source *from)
{
    for (size_t i = 0; i < from->buffers.n; i++)
        PyBuffer_Release(&from->buffers.data[i]);
    free(from->buffers.data);
    free(from->parts.data);
}

static int take_block(struct source *from, PyObject *block,
                      struct cprof_column_part *part)
{
    Py_buffer *view;

    if (cprof_vec_reserve(&from->buffers, 1) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    view = &from->buffers.data[from->buffers.n];
    if (PyObject_GetBuffer(block, view, PyBUF_SIMPLE) < 0)
        return -1;
    from->buffers.n++;
    part->block = view->buf ? view->buf : "";
    part->n_block = (size_t)view->len;
    return 0;
}

/* (block or None, n, base) */
static int take_part(struct source *from, PyObject *item)
{
    struct cprof_column_part part = {0};
    unsigned long long base;
    PyObject *block;
    Py_ssize_t n;

    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "columns: a part is (block, n, base)");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "OnK;columns: a part", &block, &n, &base))
        return -1;
    part.n = n < 0 ? 0 : (size_t)n; /* the core refuses it */
    part.base = base;
    if (block != Py_None && take_block(from, block, &part) < 0)
        return -1;
    if (cprof_vec_push(&from->parts, part) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int take_parts(struct source *from, PyObject *sequence)
{
    PyObject *list = PySequence_List(sequence);
    Py_ssize_t n = list ? PyList_Size(list) : 0;
    int r = list ? 0 : -1;

    for (Py_ssize_t i = 0; i < n && r == 0; i++)
        r = take_part(from, PyList_GetItem(list, i));
    Py_XDECREF(list);
    return r;
}

static const struct width {
    const char *name;
    size_t width;
} WIDTHS[] = {{"B", 1}, {"H", 2}, {"I", 4}, {"i", 4}, {"Q", 8}, {"q", 8}};

static const struct width *width_of(const char *name)
{
    for (size_t i = 0; i < sizeof(WIDTHS) / sizeof(WIDTHS[0]); i++)
        if (!strcmp(WIDTHS[i].name, name))
            return &WIDTHS[i];
    PyErr_SetString(PyExc_ValueError, "columns: a format is one of BHIiQq");
    return NULL;
}

PyDoc_STRVAR(decode_column_doc,
             "decode_column($module, parts, format, kind, otherwise, /)\n--\n\n"
             "The numbers of all parts (block or None, n, base) in one Column.");
static PyObject *decode_column(PyObject *module, PyObject *args)
{
    core_state *st = PyModule_GetState(module);
    struct cprof_column_format format = {0};
    struct source from = {0};
    PyObject *sequence, *ret = NULL;
    const struct width *width;
    long long otherwise;
    const char *name;
    unsigned kind;
    int r;
    void *to = NULL;
    size_t n = 0;

    if (!PyArg_ParseTuple(args, "OsIL:decode_column", &sequence, &name, &kind,
                          &otherwise))
        return NULL;
    width = width_of(name);
    if (width && take_parts(&from, sequence) == 0) {
        format.width = width->width;
        format.kind = kind;
        Py_BEGIN_ALLOW_THREADS
        r = cprof_columns_decode(from.parts.data, from.parts.n, &format,
                                 (uint64_t)otherwise, &to, &n);
        Py_END_ALLOW_THREADS
        ret = r < 0 ? cprof_py_raise_code(st, r, "columns")
                    : cprof_py_column(st, NULL, to, n, width->name, true);
    }
    source_deinit(&from);
    return ret;
}

PyDoc_STRVAR(siblings_doc,
             "siblings($module, parents, numbers, first, start, is_back, /)\n--\n\n"
             "Locations of nodes <-> small numbers, all uint32; see columns.h.");
static PyObject *siblings(PyObject *module, PyObject *args)
{
    core_state *st = PyModule_GetState(module);
    Py_buffer parents, from;
    int is_back, r = -ENOMEM;
    PyObject *ret = NULL;
    unsigned first, start;
    uint32_t *to;
    size_t n;

    if (!PyArg_ParseTuple(args, "y*y*IIp:siblings", &parents, &from, &first, &start,
                          &is_back))
        return NULL;
    n = (size_t)from.len / sizeof(*to);
    to = malloc((n + 1) * sizeof(*to));
    if (parents.len != from.len || parents.itemsize != sizeof(*to) ||
        from.itemsize != sizeof(*to)) {
        PyErr_SetString(PyExc_ValueError, "siblings: two columns of uint32 alike");
        free(to);
    } else {
        Py_BEGIN_ALLOW_THREADS
        if (to)
            r = cprof_columns_siblings(parents.buf, from.buf, n, first, start, is_back,
                                       to);
        Py_END_ALLOW_THREADS
        if (r == 0)
            ret = cprof_py_column(st, NULL, to, n, "I", true);
        else
            ret = cprof_py_raise_code(st, r, "columns");
        if (r < 0)
            free(to);
    }
    PyBuffer_Release(&parents);
    PyBuffer_Release(&from);
    return ret;
}

static PyMethodDef functions[] = {
    {"siblings", siblings, METH_VARARGS, siblings_doc},
    {"encode_column", encode_column, METH_VARARGS, encode_column_doc},
    {"decode_column", decode_column, METH_VARARGS, decode_column_doc},
    {NULL, NULL, 0, NULL},
};

int cprof_py_add_columns(PyObject *module, core_state *st)
{
    (void)st;
    return PyModule_AddFunctions(module, functions);
}
