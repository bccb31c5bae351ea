#include "corepy.h"

/* What the module holds, in order; one file each. */
static cprof_py_add_fn *const ADD[] = {
    cprof_py_add_error,     cprof_py_add_column,  cprof_py_add_profile,
    cprof_py_add_functions, cprof_py_add_session, cprof_py_add_code,
    cprof_py_add_build,     cprof_py_add_columns, cprof_py_add_resample,
};

int cprof_py_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **ret)
{
    *ret = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *ret ? PyModule_AddType(module, *ret) : -1;
}

static int core_exec(PyObject *module)
{
    core_state *st = PyModule_GetState(module);

    for (size_t i = 0; i < sizeof(ADD) / sizeof(ADD[0]); i++)
        if (ADD[i](module, st) < 0)
            return -1;
    return 0;
}

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    core_state *st = PyModule_GetState(module);

    Py_VISIT(st->CoreError);
    Py_VISIT(st->Column_type);
    Py_VISIT(st->Profile_type);
    Py_VISIT(st->Session_type);
    Py_VISIT(st->Code_type);
    return 0;
}

static int core_clear(PyObject *module)
{
    core_state *st = PyModule_GetState(module);

    Py_CLEAR(st->CoreError);
    Py_CLEAR(st->Column_type);
    Py_CLEAR(st->Profile_type);
    Py_CLEAR(st->Session_type);
    Py_CLEAR(st->Code_type);
    return 0;
}

static void core_free(void *module)
{
    core_clear(module);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "cprof._core",
    .m_doc = "The C core as Python sees it; see _core.pyi.",
    .m_size = sizeof(core_state),
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
