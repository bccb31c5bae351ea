#include "corepy.h"

#include <string.h>

PyObject *cprof_py_raise(core_state *st, const struct cprof_error *err)
{
    PyObject *value;

    if (err->code == -ENOMEM)
        return PyErr_NoMemory();
    value = Py_BuildValue("(iNNNN)", -err->code, cprof_py_text(err->message),
                          cprof_py_text(err->knob), cprof_py_text(err->value),
                          cprof_py_text(err->remedy));
    if (value) {
        PyErr_SetObject(st->CoreError, value);
        Py_DECREF(value);
    }
    return NULL;
}

PyObject *cprof_py_raise_code(core_state *st, int r, const char *what)
{
    struct cprof_error err;

    cprof_error_set(&err, r, "%s: %s", what, strerror(-r));
    return cprof_py_raise(st, &err);
}

PyObject *cprof_py_text(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

int cprof_py_add_error(PyObject *module, core_state *st)
{
    st->CoreError = PyErr_NewExceptionWithDoc(
        "cprof._core.CoreError",
        "args = (code, message, knob, value, remedy); code is a positive errno.", NULL,
        NULL);
    return st->CoreError ? PyModule_AddObjectRef(module, "CoreError", st->CoreError) : -1;
}
