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

/* The core profiles of a list of Profile, borrowed from it; NULL with an exception. */
static const struct cprof_profile **profiles_of(core_state *st, PyObject *list,
                                                Py_ssize_t n)
{
    const struct cprof_profile **profiles = calloc((size_t)n + 1, sizeof(*profiles));

    if (!profiles) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PyList_GetItem(list, i);
        if (!PyObject_TypeCheck(item, st->Profile_type)) {
            PyErr_SetString(PyExc_TypeError, "merge() takes a sequence of Profile");
            free(profiles);
            return NULL;
        }
        profiles[i] = cprof_py_profile_of(item);
    }
    return profiles;
}

PyDoc_STRVAR(merge_doc, "merge($module, profiles, /)\n--\n\n"
                        "One profile with the rows of all; see view.h.");
static PyObject *merge(PyObject *module, PyObject *sequence)
{
    core_state *st = PyModule_GetState(module);
    PyObject *list = PySequence_List(sequence);
    Py_ssize_t n = list ? PyList_Size(list) : 0;
    const struct cprof_profile **profiles = list ? profiles_of(st, list, n) : NULL;
    struct cprof_profile *merged;
    struct cprof_error err;
    int r;

    if (!profiles) {
        Py_XDECREF(list);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_merge(profiles, (size_t)n, &merged, &err);
    Py_END_ALLOW_THREADS
    free(profiles);
    Py_DECREF(list);
    return r < 0 ? cprof_py_raise(st, &err) : cprof_py_profile(st, merged);
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
    {"merge", merge, METH_O, merge_doc},
    {"how_text", how_text, METH_O, how_text_doc},
    {"demangle", demangle, METH_O, demangle_doc},
    {NULL, NULL, 0, NULL},
};

int cprof_py_add_functions(PyObject *module, core_state *st)
{
    (void)st;
    return PyModule_AddFunctions(module, functions);
}
