"""Every request reaches a function, which answers a wrong method or an unknown path itself.

What API Gateway cannot route it refuses by its own check of signatures, which does not understand a bearer's key.
"""

import json

import pytest

ANY = "x-amazon-apigateway-any-method"
CATCH_ALL = ("/", "/{proxy+}")


@pytest.fixture(scope="module")
def paths(usual):
    (api,) = usual.of_type("AWS::ApiGateway::RestApi").values()
    return api["Properties"]["Body"]["paths"]


def function_of(operation):
    """The logical id of the function that an operation calls."""
    uri = json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
    return uri.rpartition("functions/${")[2].partition(".Arn")[0]


def gaps(paths):
    """Requests that would reach no function, or that a function does not see as they are."""
    found = [f"{path} has no method ANY" for path in paths if ANY not in paths[path]]
    found += [f"{path} has {method} beside ANY" for path in paths for method in paths[path] if method not in (ANY, "parameters")]
    found += [f"{path} is missing: it would catch what no other path does" for path in CATCH_ALL if path not in paths]
    # A path between is a resource of its own, and the greedy path does not cover a resource that exists.
    between = {"/".join(path.split("/")[:end]) for path in paths for end in range(2, len(path.split("/")))}
    found += [f"{path} is missing: paths lead through it" for path in sorted(between - set(paths))]
    return found


def test_every_path_takes_every_method_and_the_rest_is_caught(paths):
    problems = gaps(paths)
    assert not problems, "\n".join(problems)


def test_what_no_other_path_catches_goes_to_one_function(paths, usual):
    (function,) = {function_of(paths[path][ANY]) for path in CATCH_ALL}
    assert function in usual.of_type("AWS::Lambda::Function")


def test_no_method_asks_for_more_than_a_function_does(paths):
    """An authorizer, a key of API Gateway's or a signature would be checked before a function sees the request."""
    for path, methods in paths.items():
        assert not methods[ANY].get("security"), path


def test_a_missing_route_is_found(paths):
    for path in CATCH_ALL:
        assert gaps({other: methods for other, methods in paths.items() if other != path})
    explicit = {path: {("get" if path == "/v1/models" else method): operation for method, operation in methods.items()} for path, methods in paths.items()}
    assert len(gaps(explicit)) == 2
    assert gaps({**paths, "/v2/chat/other": paths["/"]}) == ["/v2 is missing: paths lead through it", "/v2/chat is missing: paths lead through it"]
