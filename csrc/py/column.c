#include "corepy.h"

/* _core.Column: a read-only buffer that keeps what it shows alive. */
typedef struct {
    PyObject_HEAD struct cprof_profile *profile; /* owned reference, or NULL */
    void *owned; /* the data where it is our own, or NULL */
    const void *data;
    const char *format; /* static */
    Py_ssize_t n, size;
} ColumnObject;

static Py_ssize_t size_of(const char *format)
{
    switch (*format) {
    case 'B':
        return 1;
    case 'H':
        return 2;
    case 'd':
    case 'Q':
    case 'q':
        return 8;
    default:
        return 4;
    }
}

PyObject *cprof_py_column(core_state *st, struct cprof_profile *profile, const void *data,
                          size_t n, const char *format, bool is_owned)
{
    ColumnObject *self = PyObject_New(ColumnObject, st->Column_type);

    if (!self) {
        if (is_owned)
            free((void *)data);
        return NULL;
    }
    self->profile = is_owned ? NULL : cprof_profile_ref(profile);
    self->owned = is_owned ? (void *)data : NULL;
    self->data = data ? data : ""; /* an empty column has no array */
    self->format = format;
    self->size = size_of(format);
    self->n = (Py_ssize_t)n;
    return (PyObject *)self;
}

static void Column_dealloc(PyObject *op)
{
    ColumnObject *self = (ColumnObject *)op;
    PyTypeObject *type = Py_TYPE(op);

    cprof_profile_unref(self->profile);
    free(self->owned);
    PyObject_Free(op);
    Py_DECREF(type); /* an instance of a heap type owns a reference to it */
}

static int Column_getbuffer(PyObject *op, Py_buffer *view, int flags)
{
    ColumnObject *self = (ColumnObject *)op;

    if (flags & PyBUF_WRITABLE) {
        PyErr_SetString(PyExc_BufferError, "a column of a profile is read-only");
        return -1;
    }
    *view = (Py_buffer){
        .buf = (void *)self->data,
        .obj = Py_NewRef(op),
        .len = self->n * self->size,
        .itemsize = self->size,
        .readonly = 1,
        .ndim = 1,
        .format = flags & PyBUF_FORMAT ? (char *)self->format : NULL,
        .shape = (flags & PyBUF_ND) == PyBUF_ND ? &self->n : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &self->size : NULL,
    };
    return 0;
}

static Py_ssize_t Column_length(PyObject *op)
{
    return ((ColumnObject *)op)->n;
}

PyDoc_STRVAR(Column_doc,
             "Read-only buffer of one column; memoryview(column) costs no copy.");

static PyType_Slot Column_slots[] = {
    {Py_tp_doc, (void *)Column_doc},
    {Py_tp_dealloc, Column_dealloc},
    {Py_bf_getbuffer, Column_getbuffer},
    {Py_sq_length, Column_length},
    {0, NULL},
};

static PyType_Spec Column_spec = {
    .name = "cprof._core.Column",
    .basicsize = sizeof(ColumnObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Column_slots,
};

int cprof_py_add_column(PyObject *module, core_state *st)
{
    return cprof_py_add_type(module, &Column_spec, &st->Column_type);
}
