#include "corepy.h"

#include "demangle.h"
#include "pprof.h"
#include "view.h"

/* Functions of the module that make profiles, how_text() and demangle(). */

PyDoc_STRVAR(load_pprof_doc, "load_pprof($module, path, /)\n--\n\n"
                             "Read a profile.proto file, gzipped or plain.");
static PyObject *load_pprof(PyObject *module, PyObject *path_arg)
{
    core_state *st = PyModule_GetState(module);
    struct cprof_profile *profile;
    struct cprof_error err;
    PyObject *path;
    int r;

    if (!PyUnicode_FSConverter(path_arg, &path))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_pprof_read(PyBytes_AsString(path), &profile, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    return r < 0 ? cprof_py_raise(st, &err) : cprof_py_profile(st, profile);
}

PyDoc_STRVAR(decode_pprof_doc, "decode_pprof($module, data, name, /)\n--\n\n"
                               "The same from bytes; `name` stands in messages.");
static PyObject *decode_pprof(PyObject *module, PyObject *args)
{
    core_state *st = PyModule_GetState(module);
    struct cprof_profile *profile;
    struct cprof_error err;
    const char *name;
    Py_buffer data;
    int r;

    if (!PyArg_ParseTuple(args, "y*s:decode_pprof", &data, &name))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_pprof_decode(data.buf, (size_t)data.len, name, &profile, &err);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return r < 0 ? cprof_py_raise(st, &err) : cprof_py_profile(st, profile);
}

/* What merge() is given: profiles, and theirs to be let go of. */
struct sources {
    struct cprof_profile **profiles; /* owned references */
    size_t n;
};

static void sources_deinit(struct sources *sources)
{
    while (sources->n)
        cprof_profile_unref(sources->profiles[--sources->n]);
    free(sources->profiles);
}

static int sources_init(struct sources *sources, core_state *st, PyObject *list)
{
    size_t n = (size_t)PyList_Size(list);

    *sources = (struct sources){.profiles = calloc(n + 1, sizeof(*sources->profiles))};
    if (!sources->profiles) {
        PyErr_NoMemory();
        return -1;
    }
    for (; sources->n < n; sources->n++) {
        PyObject *item = PyList_GetItem(list, (Py_ssize_t)sources->n);
        if (!PyObject_TypeCheck(item, st->Profile_type)) {
            PyErr_SetString(PyExc_TypeError, "merge() takes a sequence of Profile");
            return -1;
        }
        sources->profiles[sources->n] = cprof_profile_ref(cprof_py_profile_of(item));
    }
    return 0;
}

/* One factor for each sample type. */
static int get_factors(PyObject *given, size_t n, double *ret)
{
    PyObject *list = PySequence_List(given);
    int r = list ? 0 : -1;

    if (list && (size_t)PyList_Size(list) != n) {
        PyErr_Format(PyExc_ValueError, "%zd factors for %zu sample types",
                     PyList_Size(list), n);
        r = -1;
    }
    for (size_t k = 0; k < n && r == 0; k++) {
        ret[k] = PyFloat_AsDouble(PyList_GetItem(list, (Py_ssize_t)k));
        r = ret[k] == -1 && PyErr_Occurred() ? -1 : 0;
    }
    Py_XDECREF(list);
    return r;
}

/* Put a profile times its factors in its place. */
static int scale_source(core_state *st, struct cprof_profile **profile, PyObject *given)
{
    double factors[CPROF_MAX_SAMPLE_TYPES];
    struct cprof_profile *view;
    bool is_same = true;
    struct cprof_error err;
    int r;

    if (get_factors(given, (*profile)->n_types, factors) < 0)
        return -1;
    for (size_t k = 0; k < (*profile)->n_types; k++)
        is_same &= factors[k] == 1;
    if (is_same)
        return 0;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_scale(*profile, factors, &view, &err);
    Py_END_ALLOW_THREADS
    if (r < 0) {
        cprof_py_raise(st, &err);
        return -1;
    }
    cprof_profile_unref(*profile);
    *profile = view;
    return 0;
}

static int scale_sources(struct sources *sources, core_state *st, PyObject *scales)
{
    PyObject *list = scales == Py_None ? NULL : PySequence_List(scales);
    int r = 0;

    if (scales == Py_None)
        return 0;
    if (list && (size_t)PyList_Size(list) != sources->n)
        PyErr_Format(PyExc_ValueError, "scales of %zd profiles for %zu",
                     PyList_Size(list), sources->n);
    if (!list || PyErr_Occurred())
        r = -1;
    for (size_t i = 0; i < sources->n && r == 0; i++)
        r = scale_source(st, &sources->profiles[i], PyList_GetItem(list, (Py_ssize_t)i));
    Py_XDECREF(list);
    return r;
}

PyDoc_STRVAR(
    merge_doc,
    "merge($module, profiles, scales=None, /)\n--\n\n"
    "One profile with the rows of all; see view.h. `scales`: for each profile a\n"
    "factor for each sample type, -1 for what is to be taken away.");
static PyObject *merge(PyObject *module, PyObject *args)
{
    core_state *st = PyModule_GetState(module);
    PyObject *sequence, *scales = Py_None, *list, *ret = NULL;
    struct sources sources = {0};
    struct cprof_profile *merged;
    struct cprof_error err;
    int r;

    if (!PyArg_ParseTuple(args, "O|O:merge", &sequence, &scales))
        return NULL;
    list = PySequence_List(sequence);
    if (list && sources_init(&sources, st, list) == 0 &&
        scale_sources(&sources, st, scales) == 0) {
        Py_BEGIN_ALLOW_THREADS
        r = cprof_view_merge((const struct cprof_profile *const *)sources.profiles,
                             sources.n, &merged, &err);
        Py_END_ALLOW_THREADS
        ret = r < 0 ? cprof_py_raise(st, &err) : cprof_py_profile(st, merged);
    }
    sources_deinit(&sources);
    Py_XDECREF(list);
    return ret;
}

PyDoc_STRVAR(demangle_doc, "demangle($module, name, /)\n--\n\n"
                           "The readable form of a C++ or Rust name, else None.");
static PyObject *demangle(PyObject *module, PyObject *name_arg)
{
    const char *name = PyUnicode_AsUTF8AndSize(name_arg, NULL);
    char *readable = NULL;
    PyObject *ret;
    int r;

    if (!name)
        return NULL;
    r = cprof_demangle(name, &readable);
    if (r < 0)
        return cprof_py_raise_code(PyModule_GetState(module), r, "demangle");
    ret = readable ? cprof_py_text(readable) : Py_NewRef(Py_None);
    free(readable);
    return ret;
}

PyDoc_STRVAR(how_text_doc, "how_text($module, how, /)\n--\n\n"
                           "The words of a value of the column \"how\".");
static PyObject *how_text(PyObject *module, PyObject *how_arg)
{
    unsigned long how = PyLong_AsUnsignedLong(how_arg);
    char text[CPROF_HOW_TEXT];

    (void)module;
    if (how == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    return cprof_py_text(cprof_how_text((uint8_t)how, text));
}

static PyMethodDef functions[] = {
    {"load_pprof", load_pprof, METH_O, load_pprof_doc},
    {"decode_pprof", decode_pprof, METH_VARARGS, decode_pprof_doc},
    {"merge", merge, METH_VARARGS, merge_doc},
    {"how_text", how_text, METH_O, how_text_doc},
    {"demangle", demangle, METH_O, demangle_doc},
    {NULL, NULL, 0, NULL},
};

int cprof_py_add_functions(PyObject *module, core_state *st)
{
    (void)st;
    return PyModule_AddFunctions(module, functions);
}
