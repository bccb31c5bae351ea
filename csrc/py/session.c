/* _core.Session, dump(), probe(), events(), clock(): the recorder as Python sees it. */
#include "corepy.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "dump.h"
#include "event.h"
#include "probe.h"
#include "session.h"

typedef struct {
    PyObject_HEAD struct cprof_session *session; /* owned, never NULL once made */
} SessionObject;

static struct cprof_session *session_of(PyObject *op)
{
    return ((SessionObject *)op)->session;
}

/* ---- arguments ---- */

/* A NULL-terminated array of words, each owned, as exec(3) wants them. */
static void words_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        PyMem_Free(words[i]);
    PyMem_Free(words);
}

static char *word_copy(PyObject *text)
{
    PyObject *bytes;
    char *data, *copy;
    Py_ssize_t n;

    if (!PyUnicode_FSConverter(text, &bytes))
        return NULL;
    copy = NULL;
    if (PyBytes_AsStringAndSize(bytes, &data, &n) == 0) {
        copy = PyMem_Malloc((size_t)n + 1);
        if (copy)
            memcpy(copy, data, (size_t)n + 1);
        else
            PyErr_NoMemory();
    }
    Py_DECREF(bytes);
    return copy;
}

static char **words_of(PyObject *sequence)
{
    Py_ssize_t n = PySequence_Size(sequence);
    char **words;

    if (n < 0)
        return NULL;
    words = PyMem_Calloc((size_t)n + 1, sizeof(*words));
    if (!words) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        words[i] = item ? word_copy(item) : NULL;
        Py_XDECREF(item);
        if (!words[i]) {
            words_free(words);
            return NULL;
        }
    }
    return words;
}

/* {"NAME": "value"} -> "NAME=value" words. */
static char **environment_of(PyObject *mapping)
{
    PyObject *items = PyMapping_Items(mapping), *list;
    char **words = NULL;

    if (!items)
        return NULL;
    list = PyList_New(0);
    for (Py_ssize_t i = 0; list && i < PyList_Size(items); i++) {
        PyObject *item = PyList_GetItem(items, i); /* borrowed */
        PyObject *word = PyUnicode_FromFormat("%U=%U", PyTuple_GetItem(item, 0),
                                              PyTuple_GetItem(item, 1));
        if (!word || PyList_Append(list, word) < 0)
            Py_CLEAR(list);
        Py_XDECREF(word);
    }
    if (list)
        words = words_of(list);
    Py_DECREF(items);
    Py_XDECREF(list);
    return words;
}

static pid_t *pids_of(PyObject *sequence, size_t *n_pids)
{
    Py_ssize_t n = PySequence_Size(sequence);
    pid_t *pids = n < 0 ? NULL : PyMem_Calloc((size_t)n + 1, sizeof(*pids));

    if (!pids && n >= 0)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; pids && i < n; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        long pid = item ? PyLong_AsLong(item) : -1;
        Py_XDECREF(item);
        if (PyErr_Occurred()) {
            PyMem_Free(pids);
            return NULL;
        }
        pids[i] = pid > 0 && pid <= INT32_MAX ? (pid_t)pid : -1;
    }
    *n_pids = n > 0 ? (size_t)n : 0;
    return pids;
}

/* What the options point to while the session is made. */
struct arguments {
    PyObject *argv, *pids, *env, *cwd;
    char **words, **environment;
    char *directory;
    pid_t *numbers;
};

static void arguments_deinit(struct arguments *a)
{
    words_free(a->words);
    words_free(a->environment);
    PyMem_Free(a->directory);
    PyMem_Free(a->numbers);
}

static int convert(struct arguments *a, struct cprof_session_options *options)
{
    if (a->argv != Py_None && !(a->words = words_of(a->argv)))
        return -1;
    if (a->pids != Py_None && !(a->numbers = pids_of(a->pids, &options->n_pids)))
        return -1;
    if (a->env != Py_None && !(a->environment = environment_of(a->env)))
        return -1;
    if (a->cwd != Py_None && !(a->directory = word_copy(a->cwd)))
        return -1;
    options->argv = (const char *const *)a->words;
    options->envp = (const char *const *)a->environment;
    options->cwd = a->directory;
    options->pids = a->numbers;
    return 0;
}

static PyObject *make(PyTypeObject *type, const struct cprof_session_options *options)
{
    core_state *st = PyType_GetModuleState(type);
    struct cprof_session *session;
    struct cprof_error err = {0};
    SessionObject *self;
    int r;

    Py_BEGIN_ALLOW_THREADS
    r = cprof_session_create(options, &session, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(st, &err);
    self = PyObject_New(SessionObject, type);
    if (!self) {
        cprof_session_destroy(session);
        return NULL;
    }
    self->session = session;
    return (PyObject *)self;
}

static PyObject *Session_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"argv",       "pids",   "env",    "cwd",         "stdio",
                            "event",      "freq",   "period", "jitter",      "follow",
                            "kernel",     "unwind", "verify", "stack_bytes", "stack",
                            "ring_bytes", "lines",  NULL};
    struct arguments a = {Py_None, Py_None, Py_None, Py_None, NULL, NULL, NULL, NULL};
    struct cprof_session_options options = {.event = "auto", .unwind = "auto"};
    unsigned long long period = 0;
    int jitter = 1, follow = 1, stdio[3] = {0, 1, 2};
    int stack_bytes = -1;
    Py_ssize_t ring_bytes = 0;
    PyObject *self = NULL;

    options.kernel = options.lines = -1;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|$OOOO(iii)sdKppisdisni:Session", names, &a.argv, &a.pids,
            &a.env, &a.cwd, &stdio[0], &stdio[1], &stdio[2], &options.event,
            &options.freq, &period, &jitter, &follow, &options.kernel, &options.unwind,
            &options.verify, &stack_bytes, &options.stack, &ring_bytes, &options.lines))
        return NULL;
    options.stdio = stdio;
    options.period = period;
    options.jitter = jitter;
    options.follow = follow;
    options.stack_bytes =
        stack_bytes < 0 ? CPROF_STACK_BYTES_AUTO : (uint32_t)stack_bytes;
    options.ring_bytes = ring_bytes > 0 ? (size_t)ring_bytes : 0;
    if (convert(&a, &options) == 0)
        self = make(type, &options);
    arguments_deinit(&a);
    return self;
}

static void Session_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    struct cprof_session *session = session_of(op);

    Py_BEGIN_ALLOW_THREADS
    cprof_session_destroy(session);
    Py_END_ALLOW_THREADS
    PyObject_Free(op);
    Py_DECREF(type);
}

/* ---- methods ---- */

typedef int session_call(struct cprof_session *session, struct cprof_error *err);

static PyObject *call(PyObject *op, session_call *function)
{
    struct cprof_error err = {0};
    int r;

    Py_BEGIN_ALLOW_THREADS
    r = function(session_of(op), &err);
    Py_END_ALLOW_THREADS
    return r < 0 ? cprof_py_raise(cprof_py_state_of(op), &err) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(start_doc, "start($self, /)\n--\n\nLet the child exec, or begin to sample.");
static PyObject *Session_start(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return call(op, cprof_session_start);
}

PyDoc_STRVAR(stop_doc,
             "stop($self, /)\n--\n\nStop sampling and drain the rings. Idempotent.");
static PyObject *Session_stop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return call(op, cprof_session_stop);
}

PyDoc_STRVAR(wait_doc,
             "wait($self, timeout, /)\n--\n\n"
             "Wait at most `timeout` seconds; True when every target has ended.");
static PyObject *Session_wait(PyObject *op, PyObject *arg)
{
    double timeout = PyFloat_AsDouble(arg);
    int r, ms;

    if (timeout == -1 && PyErr_Occurred())
        return NULL;
    ms = timeout <= 0 ? 0 : timeout > 1e6 ? 1000000000 : (int)(timeout * 1000 + 0.999);
    Py_BEGIN_ALLOW_THREADS
    r = cprof_session_wait(session_of(op), ms);
    Py_END_ALLOW_THREADS
    if (r == -EINTR && PyErr_CheckSignals() < 0)
        return NULL;
    return PyBool_FromLong(r == 1);
}

PyDoc_STRVAR(snapshot_doc, "snapshot($self, /, since_last=False)\n--\n\n"
                           "All rows so far, or those since the last such call.");
static PyObject *Session_snapshot(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"since_last", NULL};
    struct cprof_profile *profile;
    struct cprof_error err = {0};
    int since_last = 0, r;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:snapshot", names, &since_last))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_session_snapshot(session_of(op), since_last, &profile, &err);
    Py_END_ALLOW_THREADS
    return r < 0 ? cprof_py_raise(cprof_py_state_of(op), &err)
                 : cprof_py_profile(cprof_py_state_of(op), profile);
}

PyDoc_STRVAR(finish_doc,
             "finish($self, /)\n--\n\n"
             "stop(), then the whole Profile; the session is empty afterwards.");
static PyObject *Session_finish(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct cprof_profile *profile;
    struct cprof_error err = {0};
    int r;

    Py_BEGIN_ALLOW_THREADS
    r = cprof_session_finish(session_of(op), &profile, &err);
    Py_END_ALLOW_THREADS
    return r < 0 ? cprof_py_raise(cprof_py_state_of(op), &err)
                 : cprof_py_profile(cprof_py_state_of(op), profile);
}

PyDoc_STRVAR(kill_doc, "kill_child($self, signal, /)\n--\n\nSend a signal to the child.");
static PyObject *Session_kill_child(PyObject *op, PyObject *arg)
{
    long signal = PyLong_AsLong(arg);

    if (signal == -1 && PyErr_Occurred())
        return NULL;
    cprof_session_kill_child(session_of(op), (int)signal); /* gone already: as wanted */
    Py_RETURN_NONE;
}

static PyObject *Session_stats(PyObject *op, void *Py_UNUSED(closure))
{
    struct cprof_session_stats stats;

    Py_BEGIN_ALLOW_THREADS
    cprof_session_stats(session_of(op), &stats);
    Py_END_ALLOW_THREADS
    return Py_BuildValue(
        "{sK sK sK sd sd ss sn sn sn sO sn sO}", "samples",
        (unsigned long long)stats.n_samples, "lost", (unsigned long long)stats.n_lost,
        "throttled", (unsigned long long)stats.n_throttled, "elapsed",
        stats.start_mono ? (double)(stats.now_mono - stats.start_mono) / 1e9 : 0.0,
        "rate_asked", stats.rate_asked, "event", stats.event, "rings",
        (Py_ssize_t)stats.n_rings, "ring_bytes", (Py_ssize_t)stats.ring_bytes, "fds",
        (Py_ssize_t)stats.n_fds, "is_kernel_excluded",
        stats.is_kernel_excluded ? Py_True : Py_False, "n_targets",
        (Py_ssize_t)stats.n_targets, "is_running", stats.is_running ? Py_True : Py_False);
}

static PyObject *Session_child_pid(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(cprof_session_child(session_of(op)));
}

static PyObject *Session_child_status(PyObject *op, void *Py_UNUSED(closure))
{
    int status;

    if (!cprof_session_child(session_of(op)) ||
        !cprof_session_child_status(session_of(op), &status))
        Py_RETURN_NONE;
    return PyLong_FromLong(WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
}

static PyMethodDef Session_methods[] = {
    {"start", Session_start, METH_NOARGS, start_doc},
    {"stop", Session_stop, METH_NOARGS, stop_doc},
    {"wait", Session_wait, METH_O, wait_doc},
    {"snapshot", (PyCFunction)(void (*)(void))Session_snapshot,
     METH_VARARGS | METH_KEYWORDS, snapshot_doc},
    {"finish", Session_finish, METH_NOARGS, finish_doc},
    {"kill_child", Session_kill_child, METH_O, kill_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Session_getset[] = {
    {"stats", Session_stats, NULL, "Live counters.", NULL},
    {"child_pid", Session_child_pid, NULL, "0 when attached.", NULL},
    {"child_status", Session_child_status, NULL,
     "None while it runs or when attached; else as Popen.returncode.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Session_slots[] = {
    {Py_tp_doc, "One recording: a child that is started, or processes that run."},
    {Py_tp_new, Session_new},
    {Py_tp_dealloc, Session_dealloc},
    {Py_tp_methods, Session_methods},
    {Py_tp_getset, Session_getset},
    {0, NULL},
};

static PyType_Spec Session_spec = {
    .name = "cprof._core.Session",
    .basicsize = sizeof(SessionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Session_slots,
};

/* ---- functions of the module ---- */

static PyObject *dumped_frames(const struct cprof_dump *dump,
                               const struct cprof_dump_thread *thread)
{
    const struct cprof_stacks *stacks = dump->stacks;
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list && i < thread->n_frames; i++) {
        uint32_t no = dump->frames.data[thread->first_frame + i];
        const struct cprof_location *location = &stacks->locations.data[no];
        const struct cprof_function *function =
            &stacks->functions.data[stacks->lines.data[location->first_line].function];
        PyObject *frame = Py_BuildValue(
            "(NNK)", cprof_py_text(cprof_stacks_text(stacks, function->name)),
            cprof_py_text(cprof_stacks_text(stacks, function->module)),
            (unsigned long long)location->address);
        if (!frame || PyList_Append(list, frame) < 0)
            Py_CLEAR(list);
        Py_XDECREF(frame);
    }
    return list;
}

static PyObject *dumped_threads(const struct cprof_dump *dump)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list && i < dump->threads.n; i++) {
        const struct cprof_dump_thread *thread = &dump->threads.data[i];
        PyObject *item =
            Py_BuildValue("(iNCNsN)", (int)thread->tid, cprof_py_text(thread->name),
                          thread->state, cprof_py_text(thread->wait),
                          cprof_end_name(thread->end), dumped_frames(dump, thread));
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

PyDoc_STRVAR(dump_doc,
             "dump($module, pid, /)\n--\n\nWhere every thread of `pid` is now.");
static PyObject *core_dump(PyObject *module, PyObject *arg)
{
    long pid = PyLong_AsLong(arg);
    struct cprof_error err = {0};
    struct cprof_dump *dump;
    PyObject *list;
    int r;

    if (pid == -1 && PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_dump_create((pid_t)pid, &dump, &err);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise(PyModule_GetState(module), &err);
    list = dumped_threads(dump);
    cprof_dump_destroy(dump);
    return list;
}

PyDoc_STRVAR(probe_doc, "probe($module, pid=0, /)\n--\n\n"
                        "(knob, value, is_ok, blocks, remedy) of every knob.");
static PyObject *core_probe(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct cprof_knob knobs[CPROF_MAX_KNOBS];
    PyObject *list;
    size_t n;
    int pid = 0;

    if (!PyArg_ParseTuple(args, "|i:probe", &pid))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    n = cprof_probe_knobs(pid, knobs);
    Py_END_ALLOW_THREADS
    list = PyList_New(0);
    for (size_t i = 0; list && i < n; i++) {
        PyObject *item = Py_BuildValue("(ssOss)", knobs[i].name, knobs[i].value,
                                       knobs[i].is_ok ? Py_True : Py_False,
                                       knobs[i].blocks, knobs[i].remedy);
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

PyDoc_STRVAR(events_doc,
             "events($module, /)\n--\n\n"
             "(name, unit, whether this machine can open it) of every event.");
static PyObject *core_events(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PyList_New(0);
    const struct cprof_event *event;

    for (size_t i = 0; list && (event = cprof_event_at(i)); i++) {
        bool works = cprof_probe_event(event->type, event->config, false) == 0;
        PyObject *item =
            Py_BuildValue("(ssO)", event->name, event->is_clock ? "nanoseconds" : "count",
                          works ? Py_True : Py_False);
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

PyDoc_STRVAR(clock_doc, "clock($module, /)\n--\n\nCLOCK_MONOTONIC now, ns.");
static PyObject *core_clock(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return PyLong_FromLongLong((long long)now.tv_sec * 1000000000 + now.tv_nsec);
}

static PyMethodDef functions[] = {
    {"dump", core_dump, METH_O, dump_doc},
    {"probe", core_probe, METH_VARARGS, probe_doc},
    {"events", core_events, METH_NOARGS, events_doc},
    {"clock", core_clock, METH_NOARGS, clock_doc},
    {NULL, NULL, 0, NULL},
};

int cprof_py_add_session(PyObject *module, core_state *st)
{
    if (cprof_py_add_type(module, &Session_spec, &st->Session_type) < 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}
