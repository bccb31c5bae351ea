#include "corepy.h"

#include "locate_code.h"

/* _core.Code: the functions and lines of one file on disk. */
typedef struct {
    PyObject_HEAD struct cprof_code *code; /* owned, never NULL once made */
} CodeObject;

static PyObject *Code_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "", NULL};
    struct cprof_code *code;
    struct cprof_error err;
    const char *hex = "";
    PyObject *path;
    CodeObject *self;
    int r;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|s:Code", names,
                                     PyUnicode_FSConverter, &path, &hex))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_code_open(PyBytes_AsString(path), hex, &code, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    if (r < 0)
        return cprof_py_raise(PyType_GetModuleState(type), &err);
    self = PyObject_New(CodeObject, type);
    if (self)
        self->code = code;
    else
        cprof_code_close(code);
    return (PyObject *)self;
}

static void Code_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    cprof_code_close(((CodeObject *)op)->code);
    PyObject_Free(op);
    Py_DECREF(type);
}

PyDoc_STRVAR(Code_function_doc,
             "function($self, offset, /)\n--\n\n"
             "(virtual address, symbol, start, size) of an offset in the file.");
static PyObject *Code_function(PyObject *op, PyObject *offset_arg)
{
    struct cprof_code *code = ((CodeObject *)op)->code;
    unsigned long long offset = PyLong_AsUnsignedLongLong(offset_arg);
    struct cprof_symbol symbol;
    uint64_t vaddr;

    if (offset == (unsigned long long)-1 && PyErr_Occurred())
        return NULL;
    vaddr = cprof_code_vaddr(code, offset);
    cprof_code_function(code, vaddr, &symbol);
    return Py_BuildValue("(KNKK)", (unsigned long long)vaddr, cprof_py_text(symbol.name),
                         (unsigned long long)symbol.start,
                         (unsigned long long)symbol.size);
}

struct taken {
    PyThreadState *thread; /* that let go of the GIL */
    PyObject *list;        /* by address */
};

static PyObject *make_frames(const struct cprof_lines_frame *frames, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);

    for (size_t i = 0; list && i < n; i++) {
        PyObject *frame =
            Py_BuildValue("(NNLIL)", cprof_py_text(frames[i].name ? frames[i].name : ""),
                          cprof_py_text(frames[i].file), (long long)frames[i].line,
                          frames[i].column, (long long)frames[i].start_line);
        if (!frame || PyList_SetItem(list, (Py_ssize_t)i, frame) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static int take(void *arg, size_t i, const struct cprof_lines_frame *frames, size_t n)
{
    struct taken *taken = arg;
    PyObject *list;
    int r;

    PyEval_RestoreThread(taken->thread);
    list = make_frames(frames, n);
    r = list ? PyList_SetItem(taken->list, (Py_ssize_t)i, list) : -1;
    taken->thread = PyEval_SaveThread();
    return r < 0 ? -ENOMEM : 0;
}

/* Addresses from a sequence of int; NULL with an exception. */
static uint64_t *addresses_of(PyObject *list, Py_ssize_t n)
{
    uint64_t *addresses = calloc((size_t)n + 1, sizeof(*addresses));

    if (!addresses)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; addresses && i < n; i++) {
        addresses[i] = PyLong_AsUnsignedLongLong(PyList_GetItem(list, i));
        if (addresses[i] == (uint64_t)-1 && PyErr_Occurred()) {
            free(addresses);
            addresses = NULL;
        }
    }
    return addresses;
}

PyDoc_STRVAR(Code_lines_doc,
             "lines($self, vaddrs, /)\n--\n\n"
             "[(symbol, file, line, column, start line)] of each virtual address, the\n"
             "innermost inlined function first.");
static PyObject *Code_lines(PyObject *op, PyObject *vaddrs)
{
    PyObject *list = PySequence_List(vaddrs);
    Py_ssize_t n = list ? PyList_Size(list) : 0;
    uint64_t *addresses = list ? addresses_of(list, n) : NULL;
    struct taken taken = {.list = addresses ? PyList_New(n) : NULL};
    struct cprof_error err;
    int r = -1;

    if (taken.list) {
        taken.thread = PyEval_SaveThread();
        r = cprof_code_lines(((CodeObject *)op)->code, addresses, (size_t)n, take, &taken,
                             &err);
        PyEval_RestoreThread(taken.thread);
        if (r < 0) {
            Py_CLEAR(taken.list);
            if (!PyErr_Occurred())
                cprof_py_raise(cprof_py_state_of(op), &err);
        }
    }
    free(addresses);
    Py_XDECREF(list);
    return taken.list;
}

static PyMethodDef Code_methods[] = {
    {"function", Code_function, METH_O, Code_function_doc},
    {"lines", Code_lines, METH_O, Code_lines_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot Code_slots[] = {
    {Py_tp_doc,
     "Code(path, build_id='', /)\n--\n\n"
     "The functions and lines of one file on disk, which must have the build id."},
    {Py_tp_new, Code_new},
    {Py_tp_dealloc, Code_dealloc},
    {Py_tp_methods, Code_methods},
    {0, NULL},
};
static PyType_Spec Code_spec = {
    .name = "cprof._core.Code",
    .basicsize = sizeof(CodeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Code_slots,
};

int cprof_py_add_code(PyObject *module, core_state *st)
{
    return cprof_py_add_type(module, &Code_spec, &st->Code_type);
}
