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

/* The profile times the factors that are given for it: an owned reference. */
static struct cprof_profile *scaled(core_state *st, struct cprof_profile *profile,
                                    PyObject *given)
{
    double factors[CPROF_MAX_SAMPLE_TYPES];
    struct cprof_profile *view;
    bool is_same = true;
    struct cprof_error err;
    int r;

    if (given && get_factors(given, profile->n_types, factors) < 0)
        return NULL;
    for (size_t k = 0; k < profile->n_types && given; k++)
        is_same &= factors[k] == 1;
    if (is_same)
        return cprof_profile_ref(profile);
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_scale(profile, factors, &view, &err);
    Py_END_ALLOW_THREADS
    if (r < 0) {
        cprof_py_raise(st, &err);
        return NULL;
    }
    return view;
}

/* Merge one; `factors` may be NULL. */
static int merge_item(core_state *st, struct cprof_merger *m, PyObject *item,
                      PyObject *factors)
{
    struct cprof_profile *profile;
    struct cprof_error err;
    int r;

    if (!PyObject_TypeCheck(item, st->Profile_type)) {
        PyErr_SetString(PyExc_TypeError, "merge() takes profiles");
        return -1;
    }
    profile = scaled(st, cprof_py_profile_of(item), factors);
    if (!profile)
        return -1;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_merger_add(m, profile, &err);
    cprof_profile_unref(profile);
    Py_END_ALLOW_THREADS
    if (r < 0)
        cprof_py_raise(st, &err);
    return r;
}

/* Each is let go of before the next one is asked for. */
static int merge_items(core_state *st, struct cprof_merger *m, PyObject *items,
                       PyObject *scales)
{
    Py_ssize_t n_scales = scales ? PyList_Size(scales) : 0, n = 0;
    PyObject *item;
    int r = 0;

    while (r >= 0 && (item = PyIter_Next(items))) {
        if (!scales || n < n_scales)
            r = merge_item(st, m, item, scales ? PyList_GetItem(scales, n) : NULL);
        Py_DECREF(item);
        n++;
    }
    if (r < 0 || PyErr_Occurred())
        return -1;
    if (scales && n != n_scales) {
        PyErr_Format(PyExc_ValueError, "scales of %zd profiles for %zd", n_scales, n);
        return -1;
    }
    return 0;
}

static PyObject *merged(core_state *st, PyObject *items, PyObject *scales)
{
    struct cprof_profile *profile;
    struct cprof_merger *m;
    struct cprof_error err;
    PyObject *ret = NULL;

    if (cprof_merger_create(&m, &err) < 0)
        return cprof_py_raise(st, &err);
    if (merge_items(st, m, items, scales) == 0)
        ret = cprof_merger_finish(m, &profile, &err) < 0 ? cprof_py_raise(st, &err)
                                                         : cprof_py_profile(st, profile);
    cprof_merger_free(m);
    return ret;
}

PyDoc_STRVAR(
    merge_doc,
    "merge($module, profiles, scales=None, /)\n--\n\n"
    "One profile with the rows of all of an iterable; see view.h. `scales`: for each\n"
    "profile a factor for each sample type, -1 for what is to be taken away.");
static PyObject *merge(PyObject *module, PyObject *args)
{
    PyObject *profiles, *given = Py_None, *items, *scales = NULL, *ret = NULL;

    if (!PyArg_ParseTuple(args, "O|O:merge", &profiles, &given))
        return NULL;
    items = PyObject_GetIter(profiles);
    if (items && given != Py_None)
        scales = PySequence_List(given);
    if (items && (scales || given == Py_None))
        ret = merged(PyModule_GetState(module), items, scales);
    Py_XDECREF(items);
    Py_XDECREF(scales);
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
