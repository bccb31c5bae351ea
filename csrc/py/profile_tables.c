#include "corepy.h"

#include <math.h>
#include <stddef.h>

#include "build.h"
#include "view.h"

/* What a profile refers to by number, and its sums, as lists of tuples. */

/* What one call converts; names repeat, so that each str is made once. */
struct source {
    const struct cprof_profile *p;
    const void *rows;     /* sums or nodes of a tree, where it converts those */
    struct cprof_map ids; /* string -> number in texts */
    CPROF_VEC(PyObject *) texts;
};

static void source_deinit(struct source *from)
{
    for (size_t i = 0; i < from->texts.n; i++)
        Py_DECREF(from->texts.data[i]);
    free(from->texts.data);
    cprof_map_deinit(&from->ids);
}

static PyObject *text_of(struct source *from, uint32_t string)
{
    uint32_t id = cprof_map_get(&from->ids, string);
    PyObject *text;

    if (id != CPROF_MAP_NONE)
        return Py_NewRef(from->texts.data[id]);
    text = cprof_py_text(cprof_stacks_text(from->p->stacks, string));
    if (!text)
        return NULL;
    if (cprof_vec_reserve(&from->texts, 1) < 0 ||
        cprof_map_add(&from->ids, string, (uint32_t)from->texts.n) < 0) {
        Py_DECREF(text);
        return PyErr_NoMemory();
    }
    from->texts.data[from->texts.n++] = text;
    return Py_NewRef(text);
}

/* list[i] = item, which is taken over; -1 with the exception that made it NULL. */
static int set_item(PyObject *list, size_t i, PyObject *item)
{
    return item ? PyList_SetItem(list, (Py_ssize_t)i, item) : -1;
}

/* A list of `n` items, each made from the profile and its number. */
static PyObject *make_list(const struct cprof_profile *p, const void *rows, size_t n,
                           PyObject *(*make)(struct source *from, size_t i))
{
    struct source from = {.p = p, .rows = rows};
    PyObject *list = PyList_New((Py_ssize_t)n);

    for (size_t i = 0; list && i < n; i++)
        if (set_item(list, i, make(&from, i)) < 0)
            Py_CLEAR(list);
    source_deinit(&from);
    return list;
}

static PyObject *Profile_n(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(cprof_py_profile_of(op)->n);
}

static PyObject *Profile_default_type(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(cprof_profile_default_type(cprof_py_profile_of(op)));
}

static PyObject *make_type(struct source *from, size_t i)
{
    return Py_BuildValue("(NN)", text_of(from, from->p->types[i].type),
                         text_of(from, from->p->types[i].unit));
}

static PyObject *Profile_sample_types(PyObject *op, void *closure)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);

    (void)closure;
    return make_list(p, NULL, p->n_types, make_type);
}

static PyObject *make_comment(struct source *from, size_t i)
{
    return text_of(from, from->p->comments.data[i]);
}

enum kind { TEXT, U64, U32, I64, REAL, FLAG };

#define FIELD(field, kind)                                                               \
    {                                                                                    \
#field, kind, offsetof(struct cprof_run, field)                                  \
    }

static const struct {
    const char *name;
    enum kind kind;
    size_t offset;
} RUN_FIELDS[] = {
    FIELD(start_mono, U64),
    FIELD(end_mono, U64),
    FIELD(start_unix, I64),
    FIELD(rate_asked, REAL),
    FIELD(period, U64),
    FIELD(cpu_time, U64),
    FIELD(n_switches, U64),
    FIELD(n_records_bad, U64),
    FIELD(n_verified, U64),
    FIELD(n_agreed, U64),
    FIELD(n_waited, U64),
    FIELD(n_live_dropped, U64),
    FIELD(n_lines_refused, U64),
    FIELD(stack_bytes, U32),
    FIELD(is_kernel_excluded, FLAG),
    FIELD(has_times, FLAG),
    FIELD(main_mapping, U32),
    FIELD(event, TEXT),
    FIELD(period_type, TEXT),
    FIELD(period_unit, TEXT),
    FIELD(unwinder, TEXT),
    FIELD(exact, TEXT),
    FIELD(command, TEXT),
    FIELD(host, TEXT),
    FIELD(default_type, TEXT),
    FIELD(doc_url, TEXT),
    FIELD(drop_frames, TEXT),
    FIELD(keep_frames, TEXT),
};

static PyObject *make_field(const struct cprof_profile *p, enum kind kind, size_t offset)
{
    const void *at = (const char *)&p->run + offset;

    switch (kind) {
    case TEXT:
        return cprof_py_text(cprof_stacks_text(p->stacks, *(const uint32_t *)at));
    case U64:
        return PyLong_FromUnsignedLongLong(*(const uint64_t *)at);
    case U32:
        return PyLong_FromUnsignedLong(*(const uint32_t *)at);
    case I64:
        return PyLong_FromLongLong(*(const int64_t *)at);
    case REAL:
        return PyFloat_FromDouble(*(const double *)at);
    case FLAG:
        return PyBool_FromLong(*(const bool *)at);
    }
    return NULL;
}

/* dict[key] = value, which is taken over; -1 with the exception that made it NULL. */
static int set_key(PyObject *dict, const char *key, PyObject *value)
{
    int r = value ? PyDict_SetItemString(dict, key, value) : -1;

    Py_XDECREF(value);
    return r;
}

static PyObject *Profile_run(PyObject *op, void *closure)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    PyObject *run = PyDict_New();
    int r = run ? 0 : -1;

    (void)closure;
    for (size_t i = 0; i < sizeof(RUN_FIELDS) / sizeof(RUN_FIELDS[0]) && r == 0; i++)
        r = set_key(run, RUN_FIELDS[i].name,
                    make_field(p, RUN_FIELDS[i].kind, RUN_FIELDS[i].offset));
    if (r < 0 || set_key(run, "from", PyFloat_FromDouble(p->from)) < 0 ||
        set_key(run, "to", PyFloat_FromDouble(p->to)) < 0 ||
        set_key(run, "comments", make_list(p, NULL, p->comments.n, make_comment)) < 0)
        Py_CLEAR(run);
    return run;
}

static int set_text(struct cprof_profile *p, uint32_t *to, PyObject *value)
{
    const char *text = PyUnicode_AsUTF8AndSize(value, NULL);

    if (!text)
        return -1;
    if (cprof_stacks_string(p->stacks, text, to) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int set_u32(uint32_t *to, PyObject *value)
{
    unsigned long long n = PyLong_AsUnsignedLongLong(value);

    if (n > UINT32_MAX && !PyErr_Occurred())
        PyErr_Format(PyExc_OverflowError, "%llu is too large", n);
    *to = (uint32_t)n;
    return n > UINT32_MAX ? -1 : 0;
}

static int set_real(double *to, PyObject *value)
{
    double n = PyFloat_AsDouble(value);

    if (!isfinite(n))
        PyErr_SetString(PyExc_ValueError, "a number must be finite");
    *to = n;
    return PyErr_Occurred() ? -1 : 0;
}

static int set_field(struct cprof_profile *p, enum kind kind, size_t offset,
                     PyObject *value)
{
    void *at = (char *)&p->run + offset;

    switch (kind) {
    case TEXT:
        return set_text(p, at, value);
    case U64:
        *(uint64_t *)at = PyLong_AsUnsignedLongLong(value);
        return PyErr_Occurred() ? -1 : 0;
    case U32:
        return set_u32(at, value);
    case I64:
        *(int64_t *)at = PyLong_AsLongLong(value);
        return PyErr_Occurred() ? -1 : 0;
    case REAL:
        return set_real(at, value);
    case FLAG:
        *(bool *)at = PyObject_IsTrue(value) == 1;
        return PyErr_Occurred() ? -1 : 0;
    }
    return -1;
}

int cprof_py_set_fact(struct cprof_profile *p, const char *name, PyObject *value)
{
    for (size_t i = 0; i < sizeof(RUN_FIELDS) / sizeof(RUN_FIELDS[0]); i++)
        if (!strcmp(RUN_FIELDS[i].name, name))
            return set_field(p, RUN_FIELDS[i].kind, RUN_FIELDS[i].offset, value);
    if (!strcmp(name, "from") || !strcmp(name, "to") || !strcmp(name, "comments"))
        return 0; /* of the view */
    PyErr_Format(PyExc_ValueError, "%s is no fact of a recording", name);
    return -1;
}

int cprof_py_set_run(struct cprof_profile *p, PyObject *run)
{
    bool has_times = p->run.has_times; /* that the rows have */
    PyObject *key, *value;
    Py_ssize_t at = 0;
    int r = 0;

    if (!PyDict_Check(run)) {
        PyErr_SetString(PyExc_TypeError, "run is a dict");
        return -1;
    }
    while (r == 0 && PyDict_Next(run, &at, &key, &value)) {
        const char *name = PyUnicode_AsUTF8AndSize(key, NULL);
        r = name ? cprof_py_set_fact(p, name, value) : -1;
    }
    p->run.has_times = has_times;
    return r;
}

static PyObject *make_thread(struct source *from, size_t i)
{
    const struct cprof_thread *thread = &from->p->stacks->threads.data[i];

    return Py_BuildValue("(iiNN)", thread->pid, thread->tid, text_of(from, thread->name),
                         text_of(from, thread->comm));
}

static PyObject *Profile_threads(PyObject *op, void *closure)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);

    (void)closure;
    return make_list(p, NULL, p->stacks->threads.n, make_thread);
}

static PyObject *make_label(struct source *from, const struct cprof_label *label)
{
    if (label->text)
        return Py_BuildValue("(NNs)", text_of(from, label->key),
                             text_of(from, label->text), "");
    return Py_BuildValue("(NLN)", text_of(from, label->key), (long long)label->number,
                         text_of(from, label->unit));
}

/* [(key, text or number, unit)] in the order of the file. */
static PyObject *make_labels(struct source *from, size_t i)
{
    const struct cprof_thread *thread = &from->p->stacks->threads.data[i];
    PyObject *labels = PyList_New((Py_ssize_t)thread->n_labels);

    for (uint32_t k = 0; labels && k < thread->n_labels; k++) {
        PyObject *label =
            make_label(from, &from->p->stacks->labels.data[thread->first_label + k]);
        if (!label || PyList_SetItem(labels, (Py_ssize_t)k, label) < 0)
            Py_CLEAR(labels);
    }
    return labels;
}

static PyObject *Profile_thread_labels(PyObject *op, void *closure)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);

    (void)closure;
    return make_list(p, NULL, p->stacks->threads.n, make_labels);
}

static PyObject *make_mapping(struct source *from, size_t i)
{
    const struct cprof_mapping *mapping = &from->p->stacks->mappings.data[i];

    return Py_BuildValue("(KKKNNN)", (unsigned long long)mapping->start,
                         (unsigned long long)mapping->limit,
                         (unsigned long long)mapping->offset,
                         text_of(from, mapping->file), text_of(from, mapping->module),
                         text_of(from, mapping->build_id));
}

/* What pprof says of it, as enum cprof_build_flag. */
static unsigned flags_of(const struct cprof_mapping *mapping)
{
    return (mapping->has_functions ? CPROF_BUILD_HAS_FUNCTIONS : 0) |
           (mapping->has_filenames ? CPROF_BUILD_HAS_FILENAMES : 0) |
           (mapping->has_line_numbers ? CPROF_BUILD_HAS_LINE_NUMBERS : 0) |
           (mapping->has_inline_frames ? CPROF_BUILD_HAS_INLINE_FRAMES : 0);
}

static PyObject *make_mapping_detail(struct source *from, size_t i)
{
    const struct cprof_mapping *mapping = &from->p->stacks->mappings.data[i];

    return Py_BuildValue("(NI)", text_of(from, mapping->root), flags_of(mapping));
}

static PyObject *Profile_mapping_details(PyObject *op, void *closure)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);

    (void)closure;
    return make_list(p, NULL, p->stacks->mappings.n, make_mapping_detail);
}

static PyObject *make_mark(struct source *from, size_t i)
{
    const struct cprof_mark *mark = &from->p->marks.data[i];

    return Py_BuildValue("(KII)", (unsigned long long)mark->time, mark->kind, mark->n);
}

static PyObject *Profile_marks(PyObject *op, void *closure)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);

    (void)closure;
    return make_list(p, NULL, p->marks.n, make_mark);
}

static PyObject *Profile_is_sorted(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(!cprof_py_profile_of(op)->is_unsorted);
}

static PyObject *Profile_stacks_id(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromVoidPtr(cprof_py_profile_of(op)->stacks);
}

static PyObject *Profile_mappings(PyObject *op, void *closure)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);

    (void)closure;
    return make_list(p, NULL, p->stacks->mappings.n, make_mapping);
}

static PyObject *make_function(struct source *from, size_t i)
{
    const struct cprof_function *function = (const struct cprof_function *)from->rows + i;

    return Py_BuildValue(
        "(NNNLN)", text_of(from, function->name), text_of(from, function->system_name),
        text_of(from, function->filename), (long long)function->start_line,
        text_of(from, function->module));
}

static PyObject *functions_from(PyObject *op, size_t first)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    size_t n = p->stacks->functions.n;

    first = first < n ? first : n;
    return make_list(p, p->stacks->functions.data + first, n - first, make_function);
}

static PyObject *Profile_functions_table(PyObject *op, void *closure)
{
    (void)closure;
    return functions_from(op, 0);
}

PyObject *cprof_py_profile_functions_from(PyObject *op, PyObject *first)
{
    Py_ssize_t number = PyLong_AsSsize_t(first);

    if (number == -1 && PyErr_Occurred())
        return NULL;
    return functions_from(op, (size_t)number);
}

static PyObject *Profile_wants_lines(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(!cprof_py_profile_of(op)->stacks->is_without_lines);
}

PyGetSetDef cprof_py_profile_getset[] = {
    {"wants_lines", Profile_wants_lines, NULL, "Whether exports add source lines.", NULL},
    {"n", Profile_n, NULL, "Number of rows.", NULL},
    {"sample_types", Profile_sample_types, NULL, "[(type, unit)], in file order.", NULL},
    {"default_type", Profile_default_type, NULL,
     "Number of the sample type that is shown when not told.", NULL},
    {"run", Profile_run, NULL,
     "The recording's facts, and from, to (seconds) and comments of this view.", NULL},
    {"threads", Profile_threads, NULL, "[(pid, tid, name, comm)] by thread number.",
     NULL},
    {"thread_labels", Profile_thread_labels, NULL,
     "[[(key, text or number, unit)]]: further labels, by thread number.", NULL},
    {"mappings", Profile_mappings, NULL,
     "[(start, limit, offset, file, module, build_id)].", NULL},
    {"mapping_details", Profile_mapping_details, NULL,
     "[(root, enum cprof_build_flag)] by mapping number.", NULL},
    {"marks", Profile_marks, NULL, "[(time, enum cprof_mark_kind, n)].", NULL},
    {"is_sorted", Profile_is_sorted, NULL,
     "Whether no row is earlier than the one before it.", NULL},
    {"stacks_id", Profile_stacks_id, NULL,
     "Equal for profiles that share all that rows refer to.", NULL},
    {"functions_table", Profile_functions_table, NULL,
     "[(name, system_name, filename, start_line, module)] by function number.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* "" and 0 where there is no function to ask. */
static const struct cprof_function *function_at(const struct cprof_profile *p,
                                                uint32_t function)
{
    static const struct cprof_function NONE;

    return function == CPROF_NONE ? &NONE : &p->stacks->functions.data[function];
}

static PyObject *make_sum(struct source *from, size_t i)
{
    const struct cprof_frame_sum *sum = (const struct cprof_frame_sum *)from->rows + i;
    const struct cprof_function *function = function_at(from->p, sum->frame.function);

    return Py_BuildValue("(NNLLNL)", text_of(from, sum->frame.name),
                         text_of(from, sum->frame.module), (long long)sum->self,
                         (long long)sum->total, text_of(from, function->filename),
                         (long long)function->start_line);
}

/* The first `most` functions as a list, and in *n how many there are. */
static PyObject *list_functions(PyObject *op, Py_ssize_t type, size_t most, size_t *n)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    struct cprof_frame_sum *sums = NULL;
    PyObject *list;
    int r;

    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_functions(p, (size_t)type, &sums, n);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "view");
    list = make_list(p, sums, *n < most ? *n : most, make_sum);
    free(sums);
    return list;
}

PyObject *cprof_py_profile_functions(PyObject *op, PyObject *type_arg)
{
    Py_ssize_t type = cprof_py_type_number(op, type_arg);
    size_t n;

    return type < 0 ? NULL : list_functions(op, type, SIZE_MAX, &n);
}

PyObject *cprof_py_profile_top(PyObject *op, PyObject *args)
{
    Py_ssize_t type, most;
    PyObject *type_arg, *list;
    size_t n = 0;

    if (!PyArg_ParseTuple(args, "On:top", &type_arg, &most))
        return NULL;
    type = cprof_py_type_number(op, type_arg);
    list = type < 0 ? NULL : list_functions(op, type, most < 0 ? 0 : (size_t)most, &n);
    return list ? Py_BuildValue("(Nn)", list, (Py_ssize_t)n) : NULL;
}

static PyObject *make_graph_node(struct source *from, size_t i)
{
    const struct cprof_frame_sum *sum = (const struct cprof_frame_sum *)from->rows + i;

    return Py_BuildValue("(NNNLKLL)", text_of(from, sum->frame.name),
                         text_of(from, sum->frame.module),
                         text_of(from, sum->frame.filename), (long long)sum->frame.line,
                         (unsigned long long)sum->frame.address, (long long)sum->self,
                         (long long)sum->total);
}

static PyObject *make_graph_edge(struct source *from, size_t i)
{
    const struct cprof_graph_edge *edge = (const struct cprof_graph_edge *)from->rows + i;

    return Py_BuildValue("(IILNN)", (unsigned)edge->caller, (unsigned)edge->callee,
                         (long long)edge->value, PyBool_FromLong(edge->is_inlined),
                         PyBool_FromLong(edge->is_residual));
}

static int granularity_named(const char *name, enum cprof_granularity *ret)
{
    static const char *const NAMES[] = {
        [CPROF_BY_FUNCTION] = "functions", [CPROF_BY_FILE_FUNCTION] = "filefunctions",
        [CPROF_BY_FILE] = "files",         [CPROF_BY_LINE] = "lines",
        [CPROF_BY_ADDRESS] = "addresses",  [CPROF_BY_MODULE] = "modules"};

    for (unsigned i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (strcmp(NAMES[i], name))
            continue;
        *ret = i;
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "there is no granularity \"%s\"", name);
    return -1;
}

PyObject *cprof_py_profile_graph(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "", "keep", "by_module", NULL};
    struct cprof_graph_options options = {.wants_edges = true};
    const struct cprof_profile *p = cprof_py_profile_of(op);
    const char *granularity, *keep = NULL;
    struct cprof_graph graph;
    PyObject *type_arg, *ret;
    Py_ssize_t type, n_keep = 0;
    int by_module = 1, r;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os|$z#p:graph", names, &type_arg,
                                     &granularity, &keep, &n_keep, &by_module) ||
        granularity_named(granularity, &options.by) < 0)
        return NULL;
    type = cprof_py_type_number(op, type_arg);
    if (type < 0)
        return NULL;
    options.is_across_modules = !by_module;
    options.keep = (const uint8_t *)keep;
    options.n_keep = (size_t)n_keep;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_graph(p, (size_t)type, &options, &graph);
    Py_END_ALLOW_THREADS
    if (r == -EINVAL) {
        PyErr_SetString(PyExc_ValueError, "the keep mask is not as long as the nodes");
        return NULL;
    }
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "view");
    ret = Py_BuildValue("(NN)", make_list(p, graph.nodes, graph.n_nodes, make_graph_node),
                        make_list(p, graph.edges, graph.n_edges, make_graph_edge));
    cprof_graph_deinit(&graph);
    return ret;
}

static PyObject *make_tree_node(struct source *from, size_t i)
{
    const struct cprof_tree_node *node = (const struct cprof_tree_node *)from->rows + i;
    const struct cprof_function *function = function_at(from->p, node->function);

    return Py_BuildValue(
        "(LNNILLNL)", i ? (long long)node->parent : -1LL,
        text_of(from, i ? node->name : 0), text_of(from, i ? node->module : 0),
        (unsigned)node->depth, (long long)node->self, (long long)node->total,
        text_of(from, function->filename), (long long)function->start_line);
}

PyObject *cprof_py_profile_tree(PyObject *op, PyObject *type_arg)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    Py_ssize_t type = cprof_py_type_number(op, type_arg);
    struct cprof_tree_node *nodes = NULL;
    PyObject *list;
    size_t n = 0;
    int r;

    if (type < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_tree(p, (size_t)type, &nodes, &n);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "view");
    list = make_list(p, nodes, n, make_tree_node);
    free(nodes);
    return list;
}

static PyObject *make_frame_place(struct source *from, size_t i)
{
    const struct cprof_frame *frame = (const struct cprof_frame *)from->rows + i;

    return Py_BuildValue(
        "(LLL)", frame->function == CPROF_NONE ? -1LL : (long long)frame->function,
        (long long)frame->line,
        frame->mapping == CPROF_NONE ? -1LL : (long long)frame->mapping);
}

/* A column of uint32 that takes the data over. */
static PyObject *numbers(PyObject *op, uint32_t **data, size_t n)
{
    PyObject *column = cprof_py_column(cprof_py_state_of(op), NULL, *data, n, "I", true);

    *data = NULL;
    return column;
}

PyObject *cprof_py_profile_frame_tree(PyObject *op, PyObject *args)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    struct cprof_frame_tree tree;
    PyObject *ret;
    int by_line, r;

    if (!PyArg_ParseTuple(args, "p:frame_tree", &by_line))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    r = cprof_view_frame_tree(p, by_line, &tree);
    Py_END_ALLOW_THREADS
    if (r < 0)
        return cprof_py_raise_code(cprof_py_state_of(op), r, "view");
    ret = Py_BuildValue("(NNNN)", numbers(op, &tree.parent.data, tree.parent.n),
                        numbers(op, &tree.frame.data, tree.parent.n),
                        numbers(op, &tree.node, p->n),
                        make_list(p, tree.frames.data, tree.frames.n, make_frame_place));
    cprof_frame_tree_deinit(&tree);
    return ret;
}

/* The node that a stack number names: CPROF_NONE with IndexError when there is none. */
static uint32_t node_number(const struct cprof_profile *p, PyObject *number)
{
    unsigned long long node = PyLong_AsUnsignedLongLong(number);

    if (node == (unsigned long long)-1 && PyErr_Occurred())
        return CPROF_NONE;
    if (node >= p->stacks->nodes.n) {
        PyErr_Format(PyExc_IndexError, "there is no stack %llu", node);
        return CPROF_NONE;
    }
    return (uint32_t)node;
}

/* list.append(item), which is taken over. */
static int append(PyObject *list, PyObject *item)
{
    int r = item ? PyList_Append(list, item) : -1;

    Py_XDECREF(item);
    return r;
}

static PyObject *make_frame(struct source *from, uint32_t name, uint32_t module)
{
    return Py_BuildValue("(NN)", text_of(from, name), text_of(from, module));
}

static int append_frames(PyObject *list, struct source *from,
                         const struct cprof_location *at)
{
    const struct cprof_stacks *s = from->p->stacks;
    int r = 0;

    if (!at->n_lines) {
        uint32_t module =
            at->mapping == CPROF_NONE ? 0 : s->mappings.data[at->mapping].module;
        return append(list, make_frame(from, s->unknown, module));
    }
    for (uint32_t i = 0; i < at->n_lines && r == 0; i++) {
        uint32_t number = s->lines.data[at->first_line + i].function;
        const struct cprof_function *function = &s->functions.data[number];
        r = append(list, make_frame(from, function->name, function->module));
    }
    return r;
}

PyObject *cprof_py_profile_stack(PyObject *op, PyObject *number)
{
    struct source from = {.p = cprof_py_profile_of(op)};
    const struct cprof_stacks *s = from.p->stacks;
    uint32_t at = node_number(from.p, number);
    PyObject *list = at == CPROF_NONE ? NULL : PyList_New(0);

    for (; list && at != CPROF_NONE; at = s->nodes.data[at].parent)
        if (append_frames(list, &from, &s->locations.data[s->nodes.data[at].location]) <
            0)
            Py_CLEAR(list);
    source_deinit(&from);
    return list;
}

PyObject *cprof_py_profile_locations(PyObject *op, PyObject *number)
{
    const struct cprof_profile *p = cprof_py_profile_of(op);
    const struct cprof_stacks *s = p->stacks;
    uint32_t at = node_number(p, number);
    PyObject *list = at == CPROF_NONE ? NULL : PyList_New(0);

    for (; list && at != CPROF_NONE; at = s->nodes.data[at].parent) {
        const struct cprof_location *location =
            &s->locations.data[s->nodes.data[at].location];
        long long mapping =
            location->mapping == CPROF_NONE ? -1LL : (long long)location->mapping;
        if (append(list, Py_BuildValue("(KL)", (unsigned long long)location->address,
                                       mapping)) < 0)
            Py_CLEAR(list);
    }
    return list;
}
