/* A shop that becomes slower as it runs. Every order is parsed, which is always the same
 * work, and its customer looked up in a list. After three seconds the customers of another
 * shop join the list: from then on lookup() takes longer. Stop it with a signal. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { AT_FIRST = 1000, MORE = 3000, SECONDS_BEFORE = 3 };

struct customer {
    int id;
    struct customer *next;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((noinline)) static int parse(int order)
{
    unsigned hash = (unsigned)order;

    for (int i = 0; i < 4000; i++)
        hash = hash * 31 + (unsigned)i;
    return (int)(hash & 0x7fffffff);
}

__attribute__((noinline)) static const struct customer *
lookup(const struct customer *first, int id)
{
    while (first && first->id != id)
        first = first->next;
    return first;
}

__attribute__((noinline)) static int handle(const struct customer *first, int order)
{
    return parse(order) + (lookup(first, order) != NULL);
}

int main(void)
{
    struct customer *customers = calloc(AT_FIRST + MORE, sizeof(*customers)), *first = NULL;
    double start = now();
    unsigned sum = 0;
    int n = 0;

    if (!customers)
        return 1;
    for (int order = 1;; order++) {
        int wanted = AT_FIRST + (now() - start < SECONDS_BEFORE ? 0 : MORE);
        while (n < wanted) {
            customers[n] = (struct customer){-n, first};
            first = &customers[n++];
        }
        sum += (unsigned)handle(first, order);
        if (sum == 1)
            puts("never");
    }
}
