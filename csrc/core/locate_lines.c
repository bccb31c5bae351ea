#define _GNU_SOURCE /* qsort_r */
/* locate_lines.c - lines and inlined functions, file by file, after the fact. */
#include "locate_lines.h"

#include <stdio.h>

#include "cleanup.h"
#include "demangle.h"

enum { KERNEL_BUILD_ID = 20 }; /* bytes that the kernel tells of a longer one */

void cprof_liner_deinit(struct cprof_liner *liner)
{
    for (size_t i = 0; i < liner->files.n; i++) {
        cprof_lines_close(liner->files.data[i].lines);
        cprof_elf_unref(liner->files.data[i].elf);
    }
    cprof_vec_free(&liner->files);
    cprof_map_deinit(&liner->readable);
}

/* ---- files ---- */

static size_t build_id_of(const char *hex, uint8_t id[CPROF_BUILD_ID_MAX])
{
    size_t n = 0;
    unsigned byte;

    while (n < CPROF_BUILD_ID_MAX && sscanf(hex + 2 * n, "%2x", &byte) == 1)
        id[n++] = (uint8_t)byte;
    return n;
}

/* The file of a mapping whose program is gone: as it is now, if it is the same. */
static int open_again(const char *path, const uint8_t *build_id, size_t build_id_n,
                      struct cprof_elf **ret)
{
    struct cprof_elf *elf;
    const uint8_t *id;
    size_t n;
    int r = *path == '/' ? cprof_elf_open(path, &elf, NULL) : -ENOENT;

    if (r < 0)
        return r == -ENOMEM ? r : 0;
    id = cprof_elf_build_id(elf, &n);
    if (n > build_id_n && build_id_n == KERNEL_BUILD_ID)
        n = KERNEL_BUILD_ID;
    if (n == build_id_n && !memcmp(id, build_id, n))
        *ret = elf;
    else
        cprof_elf_unref(elf);
    return 0;
}

static int open_file(struct cprof_liner *liner, const struct cprof_stacks *s,
                     const struct cprof_mapping *mapping, struct cprof_liner_file *file,
                     struct cprof_error *err)
{
    uint8_t build_id[CPROF_BUILD_ID_MAX];
    struct cprof_lines_from from = {
        .root = cprof_stacks_text(s, mapping->root),
        .path = cprof_stacks_text(s, mapping->file),
        .build_id = build_id,
        .most = liner->most,
        .debuginfod = liner->debuginfod,
    };
    int r = 0;

    from.build_id_n = build_id_of(cprof_stacks_text(s, mapping->build_id), build_id);
    if (mapping->elf)
        file->elf = cprof_elf_ref(mapping->elf);
    else
        r = open_again(from.path, build_id, from.build_id_n, &file->elf);
    if (r < 0)
        return cprof_error_set(err, r, "locate: out of memory");
    from.elf = file->elf;
    if (!from.elf && (!from.build_id_n || *from.path != '/'))
        return 0; /* the kernel, code without a file */
    r = cprof_lines_open(&from, &file->lines, err);
    return r == -ENODATA || r == -EFBIG ? 0 : r;
}

/* *ret is borrowed until the next call. */
static int file_of(struct cprof_liner *liner, const struct cprof_stacks *s,
                   const struct cprof_mapping *mapping, struct cprof_liner_file **ret,
                   struct cprof_error *err)
{
    struct cprof_liner_file file = {.path = mapping->file, .build_id = mapping->build_id};
    int r;

    for (size_t i = 0; i < liner->files.n; i++) {
        *ret = &liner->files.data[i];
        if ((*ret)->path == file.path && (*ret)->build_id == file.build_id)
            return 0;
    }
    if (cprof_vec_push(&liner->files, file) < 0)
        return cprof_error_set(err, -ENOMEM, "locate: out of memory");
    *ret = &liner->files.data[liner->files.n - 1];
    r = open_file(liner, s, mapping, *ret, err);
    return r;
}

/* ---- answers ---- */

struct job { /* the locations of one mapping */
    struct cprof_liner *liner;
    struct cprof_stacks *s;
    uint32_t mapping;
    CPROF_VEC(uint32_t) locations;
    CPROF_VEC(uint64_t) addresses; /* in the file */
    CPROF_VEC(struct cprof_line) found;
    bool has_lines;
};

static void job_deinit(struct job *job)
{
    cprof_vec_free(&job->locations);
    cprof_vec_free(&job->addresses);
    cprof_vec_free(&job->found);
}

static int name_function(struct job *job, const char *name, struct cprof_function *ret)
{
    _cleanup_free_ char *readable = NULL;
    int r = cprof_stacks_string(job->s, name, &ret->system_name);

    if (r < 0)
        return r;
    ret->name = cprof_map_get(&job->liner->readable, ret->system_name);
    if (ret->name != CPROF_MAP_NONE)
        return 0;
    r = cprof_demangle(name, &readable);
    if (r == 0)
        r = cprof_stacks_string(job->s, readable ? readable : name, &ret->name);
    return r < 0 ? r : cprof_map_set(&job->liner->readable, ret->system_name, ret->name);
}

/* The function that the symbol table named; the debug information's, if it had none. */
static int outermost(struct job *job, const struct cprof_location *location,
                     const char *name, struct cprof_function *ret)
{
    const struct cprof_function *known;

    if (!location->n_lines)
        return name_function(job, name ? name : "[unknown]", ret);
    known = &job->s->functions.data[job->s->lines.data[location->first_line].function];
    if (known->name == job->s->unknown && name)
        return name_function(job, name, ret);
    ret->name = known->name;
    ret->system_name = known->system_name;
    return 0;
}

static int add_frame(struct job *job, const struct cprof_location *location,
                     const struct cprof_lines_frame *frame, bool is_outermost)
{
    struct cprof_line line = {.line = frame->line, .column = frame->column};
    struct cprof_function function = {
        .module = job->s->mappings.data[job->mapping].module,
        .start_line = frame->start_line,
    };
    int r = is_outermost
                ? outermost(job, location, frame->name, &function)
                : name_function(job, frame->name ? frame->name : "[unknown]", &function);

    if (r == 0)
        r = cprof_stacks_string(job->s, frame->file, &function.filename);
    if (r == 0)
        r = cprof_stacks_function(job->s, &function, &line.function);
    return r < 0 ? r : cprof_vec_push(&job->found, line);
}

static int take(void *arg, size_t i, const struct cprof_lines_frame *frames, size_t n)
{
    struct job *job = arg;
    uint32_t location = job->locations.data[i];
    int r = 0;

    if (!n)
        return 0;
    job->has_lines = true;
    job->found.n = 0;
    for (size_t k = 0; k < n && r == 0; k++)
        r = add_frame(job, &job->s->locations.data[location], &frames[k], k == n - 1);
    return r < 0
               ? r
               : cprof_stacks_set_lines(job->s, location, job->found.data, job->found.n);
}

static bool lacks_lines(const struct cprof_stacks *s, uint32_t i)
{
    const struct cprof_location *location = &s->locations.data[i];

    return location->mapping != CPROF_NONE && location->n_lines <= 1 &&
           !location->is_folded &&
           (!location->n_lines || !s->lines.data[location->first_line].line);
}

/* The addresses in the file of the mapping's locations that lack lines. */
static int collect(struct job *job, const uint32_t *locations, size_t n,
                   const struct cprof_elf *elf)
{
    const struct cprof_mapping *mapping = &job->s->mappings.data[job->mapping];

    job->locations.n = job->addresses.n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cprof_location *location = &job->s->locations.data[locations[i]];
        uint64_t offset = location->address - mapping->start + mapping->offset, vaddr;
        if (!elf || !cprof_elf_vaddr_of(elf, offset, &vaddr))
            vaddr = offset; /* linkers lay code out so, as a rule */
        if (cprof_vec_push(&job->locations, locations[i]) < 0 ||
            cprof_vec_push(&job->addresses, vaddr) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int line_mapping(struct job *job, const uint32_t *locations, size_t n,
                        struct cprof_error *err)
{
    struct cprof_mapping *mapping = &job->s->mappings.data[job->mapping];
    struct cprof_liner_file *file;
    uint64_t n_refused;
    int r = file_of(job->liner, job->s, mapping, &file, err);

    if (r < 0 || !file->lines)
        return r;
    job->has_lines = false;
    n_refused = cprof_lines_n_refused(file->lines);
    r = collect(job, locations, n, file->elf);
    if (r == 0)
        r = cprof_lines_find(file->lines, job->addresses.data, job->addresses.n, take,
                             job);
    job->liner->n_refused += cprof_lines_n_refused(file->lines) - n_refused;
    mapping->has_filenames |= job->has_lines;
    mapping->has_line_numbers |= job->has_lines;
    mapping->has_inline_frames |= job->has_lines;
    return r < 0 ? cprof_error_set(err, r, "locate: out of memory") : 0;
}

static int by_mapping(const void *a_arg, const void *b_arg, void *stacks)
{
    uint32_t a = *(const uint32_t *)a_arg, b = *(const uint32_t *)b_arg;
    const struct cprof_location *all = ((struct cprof_stacks *)stacks)->locations.data;

    if (all[a].mapping != all[b].mapping)
        return all[a].mapping < all[b].mapping ? -1 : 1;
    return (a > b) - (a < b);
}

int cprof_locate_lines(struct cprof_liner *liner, struct cprof_stacks *s,
                       struct cprof_error *err)
{
    struct job job = {.liner = liner, .s = s};
    CPROF_VEC(uint32_t) lacking = {0};
    int r = 0;

    for (size_t i = liner->n_lined; i < s->locations.n && r == 0; i++)
        if (lacks_lines(s, (uint32_t)i))
            r = cprof_vec_push(&lacking, (uint32_t)i);
    if (r < 0)
        cprof_error_set(err, r, "locate: out of memory");
    if (lacking.n)
        qsort_r(lacking.data, lacking.n, sizeof(*lacking.data), by_mapping, s);
    for (size_t i = 0, next; i < lacking.n && r == 0; i = next) {
        job.mapping = s->locations.data[lacking.data[i]].mapping;
        next = i + 1;
        while (next < lacking.n &&
               s->locations.data[lacking.data[next]].mapping == job.mapping)
            next++;
        r = line_mapping(&job, lacking.data + i, next - i, err);
    }
    if (r == 0)
        liner->n_lined = s->locations.n;
    cprof_vec_free(&lacking);
    job_deinit(&job);
    return r;
}

/* ---- finished profiles ---- */

/* Does any file say more than is known already? Opens those that may. */
static int may_add_lines(struct cprof_liner *liner, const struct cprof_stacks *s,
                         bool *ret, struct cprof_error *err)
{
    _cleanup_free_ uint8_t *is_seen = calloc(s->mappings.n + 1, 1);
    struct cprof_liner_file *file;
    int r = 0;

    *ret = false;
    if (!is_seen)
        return cprof_error_set(err, -ENOMEM, "locate: out of memory");
    for (size_t i = 0; i < s->locations.n && r == 0; i++) {
        uint32_t mapping = s->locations.data[i].mapping;
        if (!lacks_lines(s, (uint32_t)i) || is_seen[mapping])
            continue;
        is_seen[mapping] = 1;
        r = file_of(liner, s, &s->mappings.data[mapping], &file, err);
        *ret |= r == 0 && file->lines;
    }
    return r;
}

static int copy_with_lines(struct cprof_liner *liner, const struct cprof_profile *p,
                           struct cprof_profile **ret, struct cprof_error *err)
{
    struct cprof_stacks *stacks;
    int r = cprof_stacks_copy(p->stacks, &stacks);

    if (r < 0)
        return cprof_error_set(err, r, "locate: out of memory");
    r = cprof_stacks_reopen(stacks);
    if (r < 0)
        cprof_error_set(err, r, "locate: out of memory");
    if (r == 0)
        r = cprof_locate_lines(liner, stacks, err);
    if (r == 0) {
        stacks->is_without_lines = false;
        r = cprof_profile_copy(p, stacks, ret);
        if (r == 0)
            (*ret)->run.n_lines_refused += liner->n_refused;
        else
            cprof_error_set(err, r, "locate: out of memory");
    }
    cprof_stacks_unref(stacks);
    return r;
}

int cprof_profile_with_lines(struct cprof_profile *p, bool debuginfod,
                             struct cprof_profile **ret, struct cprof_error *err)
{
    struct cprof_liner liner = {.debuginfod = debuginfod};
    bool may_add;
    int r = may_add_lines(&liner, p->stacks, &may_add, err);

    if (r == 0 && may_add)
        r = copy_with_lines(&liner, p, ret, err);
    else if (r == 0)
        *ret = cprof_profile_ref(p);
    cprof_liner_deinit(&liner);
    return r;
}
