/* corepy.h - what the files of csrc/py share; the only one that includes Python.h.
 *
 * A binding function parses its arguments, lets go of the GIL, makes one call of the
 * core, takes the GIL back and converts. Every type adds itself to the module with a
 * function of the kind `cprof_py_add_fn`, listed in module.c. */
#ifndef CPROF_COREPY_H
#define CPROF_COREPY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "error.h"
#include "profile.h"

/* Of one module object; all owned. */
typedef struct {
    PyObject *CoreError;
    PyTypeObject *Column_type;
    PyTypeObject *Profile_type;
    PyTypeObject *Session_type;
    PyTypeObject *Code_type;
} core_state;

/* Add what a file defines to the module and to its state: 0, or -1 with an exception. */
typedef int cprof_py_add_fn(PyObject *module, core_state *st);
cprof_py_add_fn cprof_py_add_error, cprof_py_add_column, cprof_py_add_profile,
    cprof_py_add_functions, cprof_py_add_session, cprof_py_add_code, cprof_py_add_build,
    cprof_py_add_columns, cprof_py_add_resample;

/* Make a heap type and add it under its name: 0 and *ret (owned), or -1. */
int cprof_py_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **ret);

/* The state of the module that a type, or a module function's `self`, belongs to. */
static inline core_state *cprof_py_state_of(PyObject *op)
{
    return PyType_GetModuleState(Py_TYPE(op));
}

/* Raise CoreError from what the core said. Always NULL. */
PyObject *cprof_py_raise(core_state *st, const struct cprof_error *err);
/* The same for a core function without a message: `r` is its negative errno. */
PyObject *cprof_py_raise_code(core_state *st, int r, const char *what);

/* Text of the core as str: bytes that are not UTF-8 become U+FFFD. */
PyObject *cprof_py_text(const char *text);

/* The core's profile of a Profile, borrowed from it. */
struct cprof_profile *cprof_py_profile_of(PyObject *op);

/* Getters and methods of Profile that convert its tables (profile_tables.c). */
extern PyGetSetDef cprof_py_profile_getset[];
PyObject *cprof_py_profile_functions(PyObject *op, PyObject *type);
PyObject *cprof_py_profile_functions_from(PyObject *op, PyObject *first);
PyObject *cprof_py_profile_top(PyObject *op, PyObject *args);
PyObject *cprof_py_profile_tree(PyObject *op, PyObject *type);
PyObject *cprof_py_profile_graph(PyObject *op, PyObject *args, PyObject *kwargs);
PyObject *cprof_py_profile_frame_tree(PyObject *op, PyObject *args);
PyObject *cprof_py_profile_stack(PyObject *op, PyObject *number);
PyObject *cprof_py_profile_locations(PyObject *op, PyObject *number);

/* Its methods that make other profiles or sums of rows (profile_views.c). */
PyObject *cprof_py_profile_ordered(PyObject *op, PyObject *unused);
PyObject *cprof_py_profile_window(PyObject *op, PyObject *args);
PyObject *cprof_py_profile_filter(PyObject *op, PyObject *args, PyObject *kwargs);
PyObject *cprof_py_profile_refine(PyObject *op, PyObject *args, PyObject *kwargs);
PyObject *cprof_py_profile_select(PyObject *op, PyObject *rows);
PyObject *cprof_py_profile_group(PyObject *op, PyObject *keys);

/* Set facts of `p->run`, which nobody else has seen yet: all of a dict as Profile.run has
 * it (what is no fact, "from", "to" and "comments", aside), or one. -1 with an exception.
 */
int cprof_py_set_run(struct cprof_profile *p, PyObject *run);
int cprof_py_set_fact(struct cprof_profile *p, const char *name, PyObject *value);

/* Profile.tables() (build.c). */
PyObject *cprof_py_profile_tables(PyObject *op, PyObject *args);

/* Its methods about lines and instructions (profile_lines.c). */
PyObject *cprof_py_profile_with_lines(PyObject *op, PyObject *args);
PyObject *cprof_py_profile_places(PyObject *op, PyObject *args);

/* A sample type's number from an int: -1 with an exception when there is none such. */
Py_ssize_t cprof_py_type_number(PyObject *op, PyObject *type);

/* A Profile. Takes over the caller's reference to `profile`, also when it fails. */
PyObject *cprof_py_profile(core_state *st, struct cprof_profile *profile);

/* A Column of `n` elements in the buffer format `format` (one of BHIiQqd). `data` is
 * borrowed from `profile`, of which the column takes a reference of its own; or, where
 * `is_owned`, it came from malloc and is taken over, also on failure. */
PyObject *cprof_py_column(core_state *st, struct cprof_profile *profile, const void *data,
                          size_t n, const char *format, bool is_owned);

#endif
