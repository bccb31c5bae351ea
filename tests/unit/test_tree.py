"""The call tree: sums along known stacks."""

from pprofs import profile

P = {"a@p;b@p;c@p": 5, "a@p;b@p": 2, "a@p;c@p": 3, "x@q": 1}


def paths(node):
    names, up = [], node
    while up.parent is not None:
        names.append(up.name)
        up = up.parent
    return "/".join(reversed(names))


def test_every_path_has_its_self_and_total():
    root = profile(P).tree("samples")
    sums = {paths(node): (node.self, node.total) for node in root.walk()}
    assert sums == {
        "": (0, 11),
        "a": (0, 10),
        "a/b": (2, 7),
        "a/b/c": (5, 5),
        "a/c": (3, 3),
        "x": (1, 1),
    }


def test_walk_goes_down_the_largest_first():
    names = [node.name for node in profile(P).tree().walk()]
    assert names == ["all", "a", "b", "c", "c", "x"]


def test_children_know_their_parents_and_depth():
    root = profile(P).tree()
    assert root.parent is None
    for node in root.walk():
        assert all(child.parent == node for child in node.children)
        assert all(child.depth == node.depth + 1 for child in node.children)
        assert node.total >= sum(child.total for child in node.children)
    assert root.children[0].module == "p"


def test_find_takes_globs():
    root = profile(P).tree("samples")
    assert [node.total for node in root.find("c")] == [5, 3]
    assert [node.name for node in root.find("[ax]")] == ["a", "x"]
    assert root.children[0].find("x") == []


def test_nodes_of_one_tree_are_equal_and_hashable():
    root = profile(P).tree()
    assert root.children[0] == root.children[0]
    assert len({*root.children, *root.children}) == 2
    assert root != profile(P).tree()
    assert "total" in repr(root)
