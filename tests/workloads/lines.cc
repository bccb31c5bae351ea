// lines.cc - code of many headers, for those who ask where it comes from; never run.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace
{
struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};

template <int N> struct Regular : Shape {
    explicit Regular(double side) : side(side)
    {
    }
    double area() const override
    {
        return N * side * side;
    }
    double side;
};

double sum(const std::vector<std::unique_ptr<Shape>> &shapes)
{
    double total = 0;
    for (const auto &shape : shapes)
        total += shape->area();
    return total;
}
} // namespace

int main(int argc, char **argv)
{
    std::map<std::string, std::vector<int>> words;
    std::unordered_map<int, std::string> names;
    std::vector<std::unique_ptr<Shape>> shapes;

    for (int i = 0; i < argc; i++) {
        words[argv[i]].push_back(i);
        names[i] = std::string(argv[i]) + "." + std::to_string(i);
        shapes.push_back(std::make_unique<Regular<3>>(i));
        shapes.push_back(std::make_unique<Regular<4>>(i));
    }
    std::vector<int> all;
    for (auto &[word, places] : words) {
        std::sort(places.begin(), places.end(), std::greater<int>());
        all.insert(all.end(), places.begin(), places.end());
    }
    std::stable_sort(all.begin(), all.end());
    return static_cast<int>(sum(shapes)) + static_cast<int>(names.size() + all.size());
}
