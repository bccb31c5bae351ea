#include "unwind.h"

#include <string.h>

void cprof_unwind_chain_begin(struct cprof_unwind_chain *chain,
                              const struct cprof_unwind_input *in)
{
    chain->n = 1;
    chain->pc[0] = in->regs[CPROF_REG_RIP];
    chain->n_guessed = chain->n_slots = 0;
    chain->how = 0;
    chain->wants = NULL;
}

const struct cprof_unwind_ops *cprof_unwind_find(const char *name)
{
    static const struct cprof_unwind_ops *const all[] = {
        &cprof_unwind_table, &cprof_unwind_libunwind, &cprof_unwind_fp};

    if (!strcmp(name, "auto"))
        return &cprof_unwind_table;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (!strcmp(name, all[i]->name))
            return all[i];
    return NULL;
}
