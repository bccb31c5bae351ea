#include "corepy.h"

#include "arrow.h"
#include "pprof.h"
#include "view.h"

/* _core.Profile: one Python reference to one immutable core profile. */
typedef struct {
    PyObject_HEAD struct cprof_profile
        *profile; /* owned reference, never NULL once made */
} ProfileObject;

PyObject *cprof_py_profile(core_state *st, struct cprof_profile *profile)
{
    ProfileObject *self = PyObject_New(ProfileObject, st->Profile_type);

    if (!self) {
        cprof_profile_unref(profile);
        return NULL;
    }
    self->profile = profile;
    return (PyObject *)self;
}

struct cprof_profile *cprof_py_profile_of(PyObject *op)
{
    return ((ProfileObject *)op)->profile;
}

static void Profile_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    cprof_profile_unref(((ProfileObject *)op)->profile);
    PyObject_Free(op);
    Py_DECREF(type); /* an instance of a heap type owns a reference to it */
}

Py_ssize_t cprof_py_type_number(PyObject *op, PyObject *type)
{
    Py_ssize_t n_types = (Py_ssize_t)cprof_py_profile_of(op)->n_types;
    Py_ssize_t number = PyLong_AsSsize_t(type);

    if (number == -1 && PyErr_Occurred())
        return -1;
    if (number < 0 || number >= n_types) {
        PyErr_Format(PyExc_IndexError, "there is no sample type %zd", number);
        return -1;
    }
    return number;
}

/* What one of the columns of struct cprof_profile holds. */
static bool fixed_column(const struct cprof_profile *p, const char *name,
                         const void **data, const char **format)
{
    const struct {
        const char *name, *format;
        const void *data;
    } columns[] = {
        {"time", "Q", p->time},  {"pid", "i", p->pid},         {"tid", "i", p->tid},
        {"cpu_id", "i", p->cpu}, {"thread", "I", p->thread},   {"stack", "I", p->stack},
        {"how", "B", p->how},    {"n_added", "H", p->n_added},
    };

    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (strcmp(columns[i].name, name))
            continue;
        *data = columns[i].data;
        *format = columns[i].format;
        return true;
    }
    return false;
}

/* The column that is there, or zeros where it is not stored. */
static PyObject *stored_column(PyObject *op, const void *data, const char *format)
{
    struct cprof_profile *p = cprof_py_profile_of(op);
    bool is_made = !data && p->n;

    if (is_made)
        data = calloc(p->n, sizeof(*p->time)); /* enough for any */
    if (is_made && !data)
        return PyErr_NoMemory();
    return cprof_py_column(cprof_py_state_of(op), p, data, p->n, format, is_made);
}

static PyObject *values_column(PyObject *op, size_t type)
{
    struct cprof_profile *p = cprof_py_profile_of(op);
    core_state *st = cprof_py_state_of(op);
    int64_t *values;
    int r;

    if (p->values[type])
        return cprof_py_column(st, p, p->values[type], p->n, "q", false);
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_values(p, type, &values);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(st, r, "view");
    return cprof_py_column(st, p, values, p->n, "q", true);
}

/* "cpu", or "time value" for a type whose name is a fixed column's. */
static bool names_type(const char *name, const char *type)
{
    size_t n = strlen(type);

    return !strncmp(name, type, n) && (!name[n] || !strcmp(name + n, " value"));
}

PyDoc_STRVAR(
    Profile_column_doc,
    "column($self, name, /)\n--\n\n"
    "\"time\" (uint64), \"pid\" \"tid\" \"cpu_id\" (int32), \"thread\" \"stack\"\n"
    "(uint32), \"how\" (uint8), \"n_added\" (uint16), or a sample type's name (int64).");
static PyObject *Profile_column(PyObject *op, PyObject *name_arg)
{
    struct cprof_profile *p = cprof_py_profile_of(op);
    const char *name = PyUnicode_AsUTF8AndSize(name_arg, NULL), *format;
    const void *data;

    if (!name)
        return NULL;
    if (fixed_column(p, name, &data, &format))
        return stored_column(op, data, format);
    for (size_t k = 0; k < p->n_types; k++)
        if (names_type(name, cprof_stacks_text(p->stacks, p->types[k].type)))
            return values_column(op, k);
    PyErr_SetObject(PyExc_KeyError, name_arg);
    return NULL;
}

PyDoc_STRVAR(Profile_leaf_functions_doc,
             "leaf_functions($self, /)\n--\n\n"
             "uint32 per row: number in functions_table of the row's leaf function;\n"
             "0xffffffff where its location has no function.");
static PyObject *Profile_leaf_functions(PyObject *op, PyObject *unused)
{
    struct cprof_profile *p = cprof_py_profile_of(op);
    uint32_t *functions;
    int r;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_leaf_functions(p, &functions);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "view");
    return cprof_py_column(cprof_py_state_of(op), p, functions, p->n, "I", true);
}

PyDoc_STRVAR(Profile_totals_doc, "totals($self, /)\n--\n\nSum of each sample type.");
static PyObject *Profile_totals(PyObject *op, PyObject *unused)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    int64_t totals[CPROF_MAX_SAMPLE_TYPES];
    PyObject *list = PyList_New((Py_ssize_t)p->n_types);

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    for (size_t k = 0; k < p->n_types; k++)
        totals[k] = cprof_profile_total(p, k);
    Py_END_ALLOW_THREADS
    for (size_t k = 0; list && k < p->n_types; k++) {
        PyObject *total = PyLong_FromLongLong(totals[k]);
        if (!total || PyList_SetItem(list, (Py_ssize_t)k, total) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *make_ends(const uint64_t ends[CPROF_N_ENDS])
{
    PyObject *dict = PyDict_New();

    for (unsigned i = 0; dict && i < CPROF_N_ENDS; i++) {
        PyObject *n = PyLong_FromUnsignedLongLong(ends[i]);
        if (!n || PyDict_SetItemString(dict, cprof_end_name(i), n) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(n);
    }
    return dict;
}

static PyObject *make_quality(const struct cprof_quality *q)
{
    typedef unsigned long long number;

    return Py_BuildValue("{sKsKsKsKsKsKsKsKsKsKsN}", "samples", (number)q->n_samples,
                         "lost", (number)q->n_lost, "throttled", (number)q->n_throttled,
                         "unknown", (number)q->n_unknown, "kernel", (number)q->n_kernel,
                         "fallback", (number)q->n_fallback, "guessed",
                         (number)q->n_guessed, "spliced", (number)q->n_spliced,
                         "continued", (number)q->n_continued, "refused",
                         (number)q->n_refused, "ends", make_ends(q->ends));
}

PyDoc_STRVAR(Profile_quality_doc,
             "quality($self, /)\n--\n\n"
             "How good these rows are: samples, lost, throttled, unknown, kernel,\n"
             "fallback, guessed, spliced, continued, refused, and ends, {why stacks\n"
             "ended: samples}.");
static PyObject *Profile_quality(PyObject *op, PyObject *unused)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    struct cprof_quality quality;
    int r;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_profile_quality(p, &quality);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "profile");
    return make_quality(&quality);
}

PyDoc_STRVAR(
    Profile_quality_by_module_doc,
    "quality_by_module($self, /)\n--\n\n"
    "[(module, quality() of the samples taken in it, {why: stacks of any sample\n"
    "that broke off in it})], most samples first.");
static PyObject *Profile_quality_by_module(PyObject *op, PyObject *unused)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    struct cprof_module_quality *modules = NULL;
    PyObject *list;
    size_t n = 0;
    int r;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_profile_quality_by_module(p, &modules, &n);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "profile");
    list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        const char *name = cprof_stacks_text(p->stacks, modules[i].module);
        PyObject *row =
            Py_BuildValue("(NNN)", cprof_py_text(name), make_quality(&modules[i].samples),
                          make_ends(modules[i].broke));
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row) < 0)
            Py_CLEAR(list);
    }
    free(modules);
    return list;
}

/* The texts of a list of str, borrowed from it; NULL with an exception. */
static const char **texts_of(PyObject *list, Py_ssize_t n)
{
    const char **texts = calloc((size_t)n + 1, sizeof(*texts));

    if (!texts) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        texts[i] = PyUnicode_AsUTF8AndSize(PyList_GetItem(list, i), NULL);
        if (!texts[i]) {
            free(texts);
            return NULL;
        }
    }
    return texts;
}

PyDoc_STRVAR(Profile_with_comments_doc,
             "with_comments($self, comments, /)\n--\n\n"
             "The same rows with `comments` added after the ones there are.");
static PyObject *Profile_with_comments(PyObject *op, PyObject *comments)
{
    PyObject *list = PySequence_List(comments);
    Py_ssize_t n = list ? PyList_Size(list) : 0;
    const char **texts = list ? texts_of(list, n) : NULL;
    struct cprof_profile *view;
    struct cprof_error err;
    int r;

    if (!texts) {
        Py_XDECREF(list);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_with_comments(cprof_py_profile_of(op), texts, (size_t)n, &view, &err);
    Py_END_ALLOW_THREADS
    free(texts);
    Py_DECREF(list);
    if (r < 0)
        return cprof_py_raise(cprof_py_state_of(op), &err);
    return cprof_py_profile(cprof_py_state_of(op), view);
}

PyDoc_STRVAR(
    Profile_write_pprof_doc,
    "write_pprof($self, path, times=False, /)\n--\n\nWrite a gzipped profile.proto "
    "file; with `times` each row is a sample.");
static PyObject *Profile_write_pprof(PyObject *op, PyObject *args)
{
    struct cprof_error err;
    int has_times = 0;
    PyObject *path;
    int r;

    if (!PyArg_ParseTuple(args, "O&|p", PyUnicode_FSConverter, &path, &has_times))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_pprof_write(cprof_py_profile_of(op), has_times, PyBytes_AsString(path),
                          &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    return r < 0 ? cprof_py_raise(cprof_py_state_of(op), &err) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(Profile_encode_pprof_doc,
             "encode_pprof($self, /)\n--\n\nThe bytes that write_pprof() writes.");
static PyObject *Profile_encode_pprof(PyObject *op, PyObject *unused)
{
    struct cprof_error err;
    uint8_t *bytes;
    PyObject *ret;
    size_t n;
    int r;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_pprof_encode(cprof_py_profile_of(op), false, &bytes, &n, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(cprof_py_state_of(op), &err);
    ret = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)n);
    free(bytes);
    return ret;
}

PyDoc_STRVAR(Profile_write_folded_doc,
             "write_folded($self, path, type, /)\n--\n\n"
             "Write \"root;...;leaf N\" lines of one sample type.");
static PyObject *Profile_write_folded(PyObject *op, PyObject *args)
{
    PyObject *path, *type_arg;
    struct cprof_error err;
    Py_ssize_t type;
    int r;

    if (!PyArg_ParseTuple(args, "O&O:write_folded", PyUnicode_FSConverter, &path,
                          &type_arg))
        return NULL;
    type = cprof_py_type_number(op, type_arg);
    if (type < 0) {
        Py_DECREF(path);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    r = cprof_folded_write(cprof_py_profile_of(op), (size_t)type, PyBytes_AsString(path),
                           &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    return r < 0 ? cprof_py_raise(cprof_py_state_of(op), &err) : Py_NewRef(Py_None);
}

static const char STREAM_NAME[] =
    "arrow_array_stream"; /* the Arrow PyCapsule interface */

static void release_capsule(PyObject *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, STREAM_NAME);

    if (stream->release)
        stream->release(stream);
    free(stream);
}

PyDoc_STRVAR(Profile_arrow_stream_doc,
             "arrow_stream($self, /)\n--\n\n"
             "PyCapsule \"arrow_array_stream\" of the rows; see arrow.h.");
static PyObject *Profile_arrow_stream(PyObject *op, PyObject *unused)
{
    struct ArrowArrayStream *stream = malloc(sizeof(*stream));
    struct cprof_error err;
    PyObject *capsule;
    int r;

    (void)unused;
    if (!stream)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    r = cprof_arrow_stream(cprof_py_profile_of(op), stream, &err);
    Py_END_ALLOW_THREADS
    if (r < 0) {
        free(stream);
        return cprof_py_raise(cprof_py_state_of(op), &err);
    }
    capsule = PyCapsule_New(stream, STREAM_NAME, release_capsule);
    if (!capsule) {
        stream->release(stream);
        free(stream);
    }
    return capsule;
}

PyDoc_STRVAR(Profile_functions_doc,
             "functions($self, type, /)\n--\n\n"
             "[(function, module, self, total, filename, start_line)] in order of self.");
PyDoc_STRVAR(Profile_top_doc, "top($self, type, most, /)\n--\n\n"
                              "The first `most` of functions(), and how many there are.");
PyDoc_STRVAR(Profile_tree_doc,
             "tree($self, type, /)\n--\n\n"
             "[(parent, function, module, depth, self, total, filename, start_line)];\n"
             "entry 0 is the root of all, children come after their parents.");
PyDoc_STRVAR(
    Profile_graph_doc,
    "graph($self, type, granularity, /, *, keep=None, by_module=True)\n--\n\n"
    "([(name, module, filename, line, address, self, total)], [(caller, callee, value,\n"
    "is_inlined, is_residual)]): nodes by self, edges by value; see view.h.");
PyDoc_STRVAR(
    Profile_frame_tree_doc,
    "frame_tree($self, by_line, /)\n--\n\n"
    "(parent by node, frame by node, node by row, [(function number or -1, line,\n"
    "mapping number or -1)]): all stacks as a trie of frames, callers first.");
PyDoc_STRVAR(Profile_stack_doc,
             "stack($self, row_stack, /)\n--\n\n"
             "[(function, module)] of one stack, leaf first, inlined frames included.");
PyDoc_STRVAR(Profile_tables_doc,
             "tables($self, location=0, node=0, /)\n--\n\n"
             "locations, lines and nodes as build() takes them, from the location and\n"
             "the node of these numbers on.");
PyDoc_STRVAR(Profile_functions_from_doc, "functions_from($self, first, /)\n--\n\n"
                                         "functions_table from the number `first` on.");
PyDoc_STRVAR(Profile_locations_doc,
             "locations($self, row_stack, /)\n--\n\n"
             "[(address, mapping number or -1)] of one stack, leaf first.");

PyDoc_STRVAR(
    Profile_ordered_doc,
    "ordered($self, /)\n--\n\n"
    "No rows, but all that they refer to, in the order to be stored in: locations\n"
    "by address, functions as those come to them. Other numbers stay.");
PyDoc_STRVAR(Profile_window_doc,
             "window($self, start, end, /)\n--\n\n"
             "Rows with start <= time < end (CLOCK_MONOTONIC nanoseconds).");
PyDoc_STRVAR(Profile_filter_doc,
             "filter($self, *, thread=None, module=None, under=None)\n--\n\n"
             "The rows that every given byte mask keeps: over threads, mappings (the\n"
             "leaf's) and functions_table (of any frame).");
PyDoc_STRVAR(
    Profile_refine_doc,
    "refine($self, *, drop=None, ignore=None, focus=None, hide=None, show=None,\n"
    "       show_from=None, prune_from=None, noinlines=False)\n--\n\n"
    "Rows and frames that match, as google/pprof has it; each is a pair of byte masks,\n"
    "over functions_table and over mappings; see view.h.");
PyDoc_STRVAR(Profile_select_doc, "select($self, rows, /)\n--\n\n"
                                 "The rows whose byte in the mask `rows` is not 0.");
PyDoc_STRVAR(
    Profile_group_doc,
    "group($self, keys, /)\n--\n\n"
    "(values of each key by group, sums of each sample type by group, rows by\n"
    "group) of the rows with equal keys; keys are uint32 buffers, one number a row.");

PyDoc_STRVAR(Profile_with_lines_doc,
             "with_lines($self, debuginfod, /)\n--\n\n"
             "The same rows with the source lines and inlined functions of all code.");
PyDoc_STRVAR(
    Profile_places_doc,
    "places($self, type, wanted, by_address, /)\n--\n\n"
    "[(function number, mapping number or -1, address, line, self, total)] of the\n"
    "functions that the byte mask `wanted` over functions_table keeps.");

static PyMethodDef Profile_methods[] = {
    {"with_lines", cprof_py_profile_with_lines, METH_VARARGS, Profile_with_lines_doc},
    {"places", cprof_py_profile_places, METH_VARARGS, Profile_places_doc},
    {"column", Profile_column, METH_O, Profile_column_doc},
    {"leaf_functions", Profile_leaf_functions, METH_NOARGS, Profile_leaf_functions_doc},
    {"totals", Profile_totals, METH_NOARGS, Profile_totals_doc},
    {"quality", Profile_quality, METH_NOARGS, Profile_quality_doc},
    {"quality_by_module", Profile_quality_by_module, METH_NOARGS,
     Profile_quality_by_module_doc},
    {"ordered", cprof_py_profile_ordered, METH_NOARGS, Profile_ordered_doc},
    {"window", cprof_py_profile_window, METH_VARARGS, Profile_window_doc},
    {"filter", (PyCFunction)(void (*)(void))cprof_py_profile_filter,
     METH_VARARGS | METH_KEYWORDS, Profile_filter_doc},
    {"refine", (PyCFunction)(void (*)(void))cprof_py_profile_refine,
     METH_VARARGS | METH_KEYWORDS, Profile_refine_doc},
    {"select", cprof_py_profile_select, METH_O, Profile_select_doc},
    {"group", cprof_py_profile_group, METH_O, Profile_group_doc},
    {"with_comments", Profile_with_comments, METH_O, Profile_with_comments_doc},
    {"functions", cprof_py_profile_functions, METH_O, Profile_functions_doc},
    {"functions_from", cprof_py_profile_functions_from, METH_O,
     Profile_functions_from_doc},
    {"top", cprof_py_profile_top, METH_VARARGS, Profile_top_doc},
    {"tree", cprof_py_profile_tree, METH_O, Profile_tree_doc},
    {"graph", (PyCFunction)(void (*)(void))cprof_py_profile_graph,
     METH_VARARGS | METH_KEYWORDS, Profile_graph_doc},
    {"frame_tree", cprof_py_profile_frame_tree, METH_VARARGS, Profile_frame_tree_doc},
    {"stack", cprof_py_profile_stack, METH_O, Profile_stack_doc},
    {"tables", cprof_py_profile_tables, METH_VARARGS, Profile_tables_doc},
    {"locations", cprof_py_profile_locations, METH_O, Profile_locations_doc},
    {"write_pprof", Profile_write_pprof, METH_VARARGS, Profile_write_pprof_doc},
    {"encode_pprof", Profile_encode_pprof, METH_NOARGS, Profile_encode_pprof_doc},
    {"write_folded", Profile_write_folded, METH_VARARGS, Profile_write_folded_doc},
    {"arrow_stream", Profile_arrow_stream, METH_NOARGS, Profile_arrow_stream_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(Profile_doc, "One immutable event table. Views share its stacks.");

static PyType_Slot Profile_slots[] = {
    {Py_tp_doc, (void *)Profile_doc},
    {Py_tp_dealloc, Profile_dealloc},
    {Py_tp_methods, Profile_methods},
    {Py_tp_getset, cprof_py_profile_getset},
    {0, NULL},
};

static PyType_Spec Profile_spec = {
    .name = "cprof._core.Profile",
    .basicsize = sizeof(ProfileObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Profile_slots,
};

int cprof_py_add_profile(PyObject *module, core_state *st)
{
    return cprof_py_add_type(module, &Profile_spec, &st->Profile_type);
}
