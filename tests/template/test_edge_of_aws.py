"""What stands before the API, and what belongs to an account and not to one stack or region: WAF, CloudFront, names, and commands of
the runbook."""

import json
import re
import shutil
import subprocess

import pytest
import stacks

WAF = stacks.read(stacks.ROOT / "infra/waf.yaml")
CDN = stacks.read(stacks.ROOT / "infra/cdn.yaml")
DISTRIBUTION = CDN["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
ACL = WAF["Resources"]["Acl"]["Properties"]
# CloudFront keeps these answers for ten seconds unless told otherwise, even of an origin that forbids it.
KEPT_ERRORS = {400, 403, 404, 405, 414, 500, 501, 502, 503, 504}


def chosen(value, **conditions):
    """A part of a template with its conditions decided."""
    if isinstance(value, list):
        return [made for each in value if (made := chosen(each, **conditions)) is not None]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        name, yes, no = value["Fn::If"]
        return chosen(yes if conditions[name] else no, **conditions)
    if value == {"Ref": "AWS::NoValue"}:
        return None
    return {key: made for key, each in value.items() if (made := chosen(each, **conditions)) is not None}


# --- WAF ----------------------------------------------------------------------------------------------------------------


def rate_rules(**conditions):
    rules = chosen(ACL["Rules"], **conditions)
    return {rule["Name"]: rule for rule in rules if "RateBasedStatement" in rule["Statement"]}


@pytest.mark.parametrize("has_cdn", [False, True])
@pytest.mark.parametrize("has_origins", [False, True])
def test_an_address_above_its_rate_gets_429_in_the_envelope(has_origins, has_cdn):
    rules = rate_rules(HasOrigins=has_origins, HasCdn=has_cdn)
    assert set(rules) == {"RequestsPerAddress", "RequestsPerViewer"} if has_cdn else {"RequestsPerAddress"}
    for rule in rules.values():
        response = rule["Action"]["Block"]["CustomResponse"]
        headers = {header["Name"]: header["Value"] for header in response["ResponseHeaders"]}
        assert response["ResponseCode"] == 429
        assert 0 < int(headers["retry-after"]) <= 120  # SDKs do not wait for longer.
        assert ("access-control-allow-origin" in headers) == has_origins
        assert headers["cache-control"] == "no-store"
        body = ACL["CustomResponseBodies"][response["CustomResponseBodyKey"]]
        assert body["ContentType"] == "APPLICATION_JSON"
        assert set(json.loads(body["Content"])["error"]) == {"message", "type", "param", "code"}


def test_rules_have_one_priority_each():
    for has_cdn in (False, True):
        priorities = [rule["Priority"] for rule in chosen(ACL["Rules"], HasOrigins=True, HasCdn=has_cdn)]
        assert len(set(priorities)) == len(priorities)


def test_behind_cloudfront_an_address_is_that_of_the_viewer():
    rules = rate_rules(HasOrigins=False, HasCdn=True)
    by_address = rules["RequestsPerAddress"]["Statement"]["RateBasedStatement"]
    by_viewer = rules["RequestsPerViewer"]["Statement"]["RateBasedStatement"]
    assert by_address["AggregateKeyType"] == "IP"
    assert by_address["ScopeDownStatement"] == {"NotStatement": {"Statement": by_viewer["ScopeDownStatement"]}}
    assert by_viewer["AggregateKeyType"] == "FORWARDED_IP"
    match = by_viewer["ScopeDownStatement"]["ByteMatchStatement"]
    (sent,) = DISTRIBUTION["Origins"][0]["OriginCustomHeaders"]
    assert match["FieldToMatch"]["SingleHeader"]["Name"] == sent["HeaderName"]
    assert CDN["Outputs"]["OriginToken"]["Value"] == sent["HeaderValue"]
    # The function of CloudFront overwrites the header that the rule counts by.
    header = by_viewer["ForwardedIPConfig"]["HeaderName"]
    said = run_viewer({header: {"value": "198.51.100.1"}, "authorization": {"value": "Bearer k"}}, "203.0.113.7")
    assert said == {header: {"value": "203.0.113.7"}, "authorization": {"value": "Bearer k"}}


def run_viewer(headers, address):
    code = CDN["Resources"]["Viewer"]["Properties"]["FunctionCode"]
    event = json.dumps({"request": {"headers": headers}, "viewer": {"ip": address}})
    program = [shutil.which("node"), "-e", f"{code}\nconsole.log(JSON.stringify(handler({event}).headers));"]
    return json.loads(subprocess.run(program, capture_output=True, text=True, check=True).stdout)


# --- CloudFront ---------------------------------------------------------------------------------------------------------


def test_cloudfront_caches_nothing():
    assert not DISTRIBUTION.get("CacheBehaviors")
    assert DISTRIBUTION["DefaultCacheBehavior"]["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert {error["ErrorCode"]: error["ErrorCachingMinTTL"] for error in DISTRIBUTION["CustomErrorResponses"]} == dict.fromkeys(KEPT_ERRORS, 0)


def test_cloudfront_passes_requests_and_streams_as_they_are():
    behaviour = DISTRIBUTION["DefaultCacheBehavior"]
    assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    assert behaviour["Compress"] is False
    assert set(behaviour["AllowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
    assert behaviour["ViewerProtocolPolicy"] == "https-only"


def test_cloudfront_reaches_the_stage_by_tls_and_waits_as_long_as_it_is_told(root, usual):
    (stage,) = usual.of_type("AWS::ApiGateway::Stage").values()
    given = root.resources["CdnStack"]["Properties"]["Parameters"]
    assert given["OriginPath"] == f"/{stage['Properties']['StageName']}"
    assert given["ReadTimeout"] == {"Ref": "CdnReadTimeout"}
    (origin,) = DISTRIBUTION["Origins"]
    assert (origin["DomainName"], origin["OriginPath"]) == ({"Ref": "ApiHost"}, {"Ref": "OriginPath"})
    reached = origin["CustomOriginConfig"]
    assert (reached["OriginProtocolPolicy"], reached["OriginReadTimeout"]) == ("https-only", {"Ref": "ReadTimeout"})


# --- Names --------------------------------------------------------------------------------------------------------------


def test_no_alarm_of_one_stack_has_the_name_of_another_stacks():
    """With alarms `a-b` and `b`, the stack `weir` and the stack `weir-a` would both have `weir-a-b`."""
    ends = []
    for path in (stacks.ROOT / "infra").glob("*.yaml"):
        for resource in stacks.read(path)["Resources"].values():
            if "AlarmName" in resource.get("Properties", {}):
                name = resource["Properties"]["AlarmName"]["Fn::Sub"]
                assert name.startswith("${Name}-")
                ends.append(name.removeprefix("${Name}-"))
    assert len(ends) == len(set(ends)) > 40
    assert [(one, other) for one in ends for other in ends if one.endswith(f"-{other}")] == []


# --- Runbook ------------------------------------------------------------------------------------------------------------


def shell_blocks():
    for path in (stacks.ROOT / "docs").glob("*.md"):
        for index, block in enumerate(re.findall(r"^```(?:sh|bash)?\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)):
            yield pytest.param(block, id=f"{path.name}-{index}")


@pytest.mark.parametrize("block", list(shell_blocks()))
def test_commands_run_on_linux_and_macos(block):
    for option, reason in {
        r"\bdate\b[^|;\n]*\s-\w*[dv]\b": "`date -d` is GNU's, `date -v` BSD's",
        r"\bsed\b[^|;\n]*\s-i\b": "`sed -i` differs",
        r"\bgrep\b[^|;\n]*\s-\w*P": "`grep -P` is GNU's",
        r"\breadlink\s+-f": "`readlink -f` is GNU's",
        r"\bbase64\b[^|;\n]*\s-w": "`base64 -w` is GNU's",
        r"\bstat\s+-[cf]": "`stat` differs",
        r"\bxargs\b[^|;\n]*\s-r": "`xargs -r` is GNU's",
    }.items():
        assert not re.search(option, block), reason


def test_functions_and_loops_of_the_runbook_are_valid_shell():
    text = (stacks.ROOT / "docs/operations.md").read_text()
    blocks = [block for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    assert len(blocks) > 10
    for block in blocks:
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert checked.returncode == 0, f"{block}\n{checked.stderr}"
