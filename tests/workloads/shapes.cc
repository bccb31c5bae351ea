// shapes.cc - C++ names: templates, operators, lambdas, anonymous and inline namespaces.
//
//   shapes SECONDS    of CPU time
//
// Truth: the time is spent in equal parts in
//   geometry::Box<int, 3>::volume(unsigned long) const
//   (anonymous namespace)::hidden(unsigned long)
//   geometry::operator<<(geometry::Sink&, unsigned long)
//   main::{lambda(unsigned long)#1}::operator()(unsigned long) const
// each called by main().
#include <cstdlib>

#include "workload.h"

namespace geometry
{
template <typename T, int N> struct Box {
    T side;
    NOINLINE void volume(unsigned long ns) const
    {
        work_until(thread_ns() + ns);
    }
};

struct Sink {
};

NOINLINE Sink &operator<<(Sink &sink, unsigned long ns)
{
    work_until(thread_ns() + ns);
    return sink;
}
} // namespace geometry

namespace
{
NOINLINE void hidden(unsigned long ns)
{
    work_until(thread_ns() + ns);
}
} // namespace

int main(int argc, char **argv)
{
    auto lambda = [](unsigned long ns) NOINLINE { work_until(thread_ns() + ns); };
    unsigned long ns = (unsigned long)(std::atof(argc > 1 ? argv[1] : "1") * 1e9 / 40);
    geometry::Box<int, 3> box = {1};
    geometry::Sink sink;

    for (int i = 0; i < 10; i++) {
        box.volume(ns);
        hidden(ns);
        sink << ns;
        lambda(ns);
    }
}
