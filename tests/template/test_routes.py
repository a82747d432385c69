"""No method asks for what API Gateway would check before a function sees the request.

Which paths and methods reach which function is compared with the code in tests/e2e/deployment/routes.rs.
"""

ANY = "x-amazon-apigateway-any-method"


def test_no_method_asks_for_an_authorizer_a_key_or_a_signature(usual):
    (api,) = usual.of_type("AWS::ApiGateway::RestApi").values()
    paths = api["Properties"]["Body"]["paths"]
    assert len(paths) > 20 and {"/", "/{proxy+}"} <= set(paths)
    for path, methods in paths.items():
        assert not methods[ANY].get("security"), path


def test_a_path_that_others_begin_with_has_a_method_too(usual):
    """It is a resource of API Gateway, which the greedy path beside it does not cover."""
    (api,) = usual.of_type("AWS::ApiGateway::RestApi").values()
    paths = set(api["Properties"]["Body"]["paths"])
    beginnings = {path[:at] for path in paths for at in range(1, len(path)) if path[at] == "/"}
    assert len(beginnings) > 10 and beginnings - paths == set()
