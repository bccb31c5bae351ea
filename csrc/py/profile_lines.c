#include "corepy.h"

#include "locate_lines.h"
#include "view.h"

/* Methods of Profile about source lines and instructions. */

PyObject *cprof_py_profile_with_lines(PyObject *op, PyObject *args)
{
    struct cprof_profile *lined;
    struct cprof_error err;
    int debuginfod, r;

    if (!PyArg_ParseTuple(args, "p:with_lines", &debuginfod))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_profile_with_lines(cprof_py_profile_of(op), debuginfod, &lined, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(cprof_py_state_of(op), &err);
    if (lined != cprof_py_profile_of(op))
        return cprof_py_profile(cprof_py_state_of(op), lined);
    cprof_profile_unref(lined);
    return Py_NewRef(op);
}

static PyObject *make_list(const struct cprof_place_sum *sums, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);

    for (size_t i = 0; list && i < n; i++) {
        PyObject *item = Py_BuildValue(
            "(ILKLLL)", sums[i].function,
            sums[i].mapping == CPROF_NONE ? -1LL : (long long)sums[i].mapping,
            (unsigned long long)sums[i].address, (long long)sums[i].line,
            (long long)sums[i].self, (long long)sums[i].total);
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

PyObject *cprof_py_profile_places(PyObject *op, PyObject *args)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    struct cprof_place_sum *sums = NULL;
    PyObject *type_arg, *list;
    const char *wanted;
    Py_ssize_t wanted_n, type;
    int is_by_address, r;
    size_t n = 0;

    if (!PyArg_ParseTuple(args, "Oy#p:places", &type_arg, &wanted, &wanted_n,
                          &is_by_address))
        return NULL;
    type = cprof_py_type_number(op, type_arg);
    if (type < 0)
        return NULL;
    if ((size_t)wanted_n != p->stacks->functions.n) {
        PyErr_SetString(PyExc_ValueError, "the mask is not as long as functions_table");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_places(p, (size_t)type, (const uint8_t *)wanted, is_by_address, &sums,
                          &n);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "view");
    list = make_list(sums, n);
    free(sums);
    return list;
}
