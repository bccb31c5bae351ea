// heavy.cc - gives `g++ -O2` about three seconds of work: templates, the standard
// library's containers and algorithms, many times over. -DDEPTH=N changes how many.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#ifndef DEPTH
#define DEPTH 25
#endif

template <int N> struct Work {
    std::map<int, std::vector<std::string>> lists;

    std::string run(const std::string &text)
    {
        std::unordered_map<std::string, std::function<int(int)>> adders;
        std::sort(lists[N].begin(), lists[N].end());
        adders[text] = [](int n) { return n + N; };
        return std::to_string(adders[text](N)) + Work<N - 1>().run(text);
    }
};

template <> struct Work<0> {
    std::string run(const std::string &text)
    {
        return text;
    }
};

int main(int, char **argv)
{
    std::cout << Work<DEPTH>().run(argv[0]);
}
