/* view: nodes and edges of the call graph; the truth is made row by row and frame by
 * frame, as google/pprof's graph.go describes it, without any trie. */
#include "view.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

enum { MAX_NODES = 32, MAX_FRAMES = 64 };

/* Sums by the numbers of nodes. */
struct truth {
    int64_t self[MAX_NODES], total[MAX_NODES];
    int64_t edges[MAX_NODES][MAX_NODES];
    bool is_edge[MAX_NODES][MAX_NODES], is_residual[MAX_NODES][MAX_NODES];
};

static uint32_t node_of(const struct cprof_graph *graph, const uint32_t frame[2])
{
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].frame.name == frame[0] &&
            graph->nodes[i].frame.module == frame[1])
            return i;
    return CPROF_NONE;
}

static void count_row(struct truth *truth, const uint32_t *path, size_t n, int64_t value)
{
    bool is_seen[MAX_NODES] = {0}, is_edge_seen[MAX_NODES][MAX_NODES] = {{0}};
    uint32_t caller = CPROF_NONE;
    bool is_residual = false;

    for (size_t i = n; i-- > 0;) { /* from the outermost frame */
        uint32_t at = path[i];
        if (at == CPROF_NONE) {
            is_residual = true;
            continue;
        }
        truth->total[at] += is_seen[at] ? 0 : value;
        is_seen[at] = true;
        if (caller != CPROF_NONE && caller != at && !is_edge_seen[caller][at]) {
            is_edge_seen[caller][at] = truth->is_edge[caller][at] = true;
            truth->edges[caller][at] += value;
            truth->is_residual[caller][at] |= is_residual;
        }
        caller = at;
        is_residual = false;
    }
    if (caller != CPROF_NONE && !is_residual)
        truth->self[caller] += value;
}

static void check_graph(const struct cprof_profile *p, const struct cprof_graph *graph)
{
    static struct truth truth;
    size_t n_edges = 0;

    memset(&truth, 0, sizeof(truth));
    for (size_t row = 0; row < p->n; row++) {
        uint32_t frames[MAX_FRAMES][2], path[MAX_FRAMES];
        size_t n = frames_of(p, row, frames);
        for (size_t i = 0; i < n; i++)
            path[i] = node_of(graph, frames[i]);
        count_row(&truth, path, n, p->values[1][row]);
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        CHECK_EQ(graph->nodes[i].self, truth.self[i]);
        CHECK_EQ(graph->nodes[i].total, truth.total[i]);
        CHECK(!i || graph->nodes[i - 1].self >= graph->nodes[i].self);
        for (size_t k = 0; k < graph->n_nodes; k++)
            n_edges += truth.is_edge[i][k];
    }
    CHECK_EQ(graph->n_edges, n_edges);
    for (size_t i = 0; i < graph->n_edges; i++) {
        const struct cprof_graph_edge *edge = &graph->edges[i];
        CHECK(truth.is_edge[edge->caller][edge->callee]);
        CHECK_EQ(edge->value, truth.edges[edge->caller][edge->callee]);
        CHECK_EQ(edge->is_residual, truth.is_residual[edge->caller][edge->callee]);
        CHECK(!i || graph->edges[i - 1].value >= edge->value);
    }
}

static void test_graph_agrees_with_a_sum_by_rows(void)
{
    for (uint64_t seed = 1; seed < 8; seed++) {
        struct cprof_graph_options options = {.wants_edges = true};
        struct cprof_graph graph, kept;
        uint8_t keep[MAX_NODES] = {0};
        struct cprof_profile *p;

        CHECK_EQ(random_profile(seed, &p), 0);
        CHECK_EQ(cprof_view_graph(p, 1, &options, &graph), 0);
        CHECK_EQ(graph.n_nodes, 9); /* main; a to d; libx's a and c; two without a name */
        check_graph(p, &graph);
        options.keep = keep;
        options.n_keep = graph.n_nodes;
        for (size_t i = 0; i < graph.n_nodes; i++)
            keep[i] = (seed >> (i % 3)) & 1;
        CHECK_EQ(cprof_view_graph(p, 1, &options, &kept), 0);
        check_graph(p, &kept);
        for (size_t i = 0; i < graph.n_nodes; i++) {
            uint32_t frame[] = {graph.nodes[i].frame.name, graph.nodes[i].frame.module};
            CHECK_EQ(node_of(&kept, frame) != CPROF_NONE, keep[i]);
        }
        cprof_graph_deinit(&kept);
        options.n_keep--;
        CHECK_EQ(cprof_view_graph(p, 1, &options, &kept), -EINVAL);
        cprof_graph_deinit(&graph);
        cprof_profile_unref(p);
    }
}

static void test_an_edge_is_inlined_only_where_all_its_calls_are(void)
{
    struct cprof_graph_options options = {.wants_edges = true};
    struct cprof_graph graph;
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;a+i", 5), 0);
    CHECK_EQ(profile_row(p, 2, 7, "main;b+i", 3), 0);
    CHECK_EQ(profile_row(p, 3, 7, "main;b;i", 1), 0);
    CHECK_EQ(cprof_view_graph(p, 1, &options, &graph), 0);
    CHECK_EQ(graph.n_edges, 4);
    for (size_t i = 0; i < graph.n_edges; i++) {
        uint32_t caller = graph.nodes[graph.edges[i].caller].frame.name;
        bool is_a = !strcmp(cprof_stacks_text(p->stacks, caller), "a");
        CHECK_EQ(graph.edges[i].is_inlined, is_a);
        CHECK(!is_a || graph.edges[i].value == 5);
    }
    cprof_graph_deinit(&graph);
    cprof_profile_unref(p);
}

static size_t n_nodes_by(const struct cprof_profile *p,
                         struct cprof_graph_options options)
{
    struct cprof_graph graph;
    int64_t self = 0;
    size_t n;

    CHECK_EQ(cprof_view_graph(p, 1, &options, &graph), 0);
    CHECK_EQ(graph.n_edges, 0); /* not asked for */
    n = graph.n_nodes;
    for (size_t i = 0; i < n; i++)
        self += graph.nodes[i].self;
    CHECK_EQ(self, cprof_profile_total(p, 1));
    cprof_graph_deinit(&graph);
    return n;
}

static void test_granularities_tell_apart_what_they_say(void)
{
    struct cprof_profile *p;
    uint32_t location;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;a;f", 1), 0);
    CHECK_EQ(profile_row(p, 2, 7, "main;libx!a;?", 2), 0);
    CHECK_EQ(profile_row(p, 3, 7, "main;libx!b;libx!?", 4), 0);
    CHECK_EQ(profile_row(p, 4, 7, "main;g+f", 8), 0);
    location =
        p->stacks->nodes.data[p->stack[0]].location; /* the f that is not inlined */
    p->stacks->lines.data[p->stacks->locations.data[location].first_line].line = 99;
    /* main, f, g, a and two nameless of prog; a and b of libx: all of one file */
    CHECK_EQ(n_nodes_by(p, (struct cprof_graph_options){.by = CPROF_BY_FUNCTION}), 8);
    CHECK_EQ(n_nodes_by(p, (struct cprof_graph_options){.by = CPROF_BY_FUNCTION,
                                                        .is_across_modules = true}),
             7);
    CHECK_EQ(n_nodes_by(p, (struct cprof_graph_options){.by = CPROF_BY_FILE_FUNCTION}),
             8);
    CHECK_EQ(n_nodes_by(p, (struct cprof_graph_options){.by = CPROF_BY_LINE}), 9);
    CHECK_EQ(n_nodes_by(p, (struct cprof_graph_options){.by = CPROF_BY_ADDRESS}), 9);
    CHECK_EQ(n_nodes_by(p, (struct cprof_graph_options){.by = CPROF_BY_FILE}), 3);
    CHECK_EQ(n_nodes_by(p, (struct cprof_graph_options){.by = CPROF_BY_MODULE}), 2);
    cprof_profile_unref(p);
}

static int attempt(void *unused)
{
    struct cprof_graph_options options = {.wants_edges = true};
    uint8_t keep[7] = {1, 0, 1, 1, 0, 1, 1};
    struct cprof_graph graph;
    struct cprof_profile *p;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    options.keep = keep;
    options.n_keep = 7;
    r = cprof_view_graph(p, 1, &options, &graph);
    if (r >= 0)
        cprof_graph_deinit(&graph);
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(attempt(NULL), 0);
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_graph_agrees_with_a_sum_by_rows);
    RUN(test_an_edge_is_inlined_only_where_all_its_calls_are);
    RUN(test_granularities_tell_apart_what_they_say);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
