"""What outlives the stack keeps what protects it."""

import json

# Types that hold data of callers.
DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key")
KEEPS = ("Retain", "RetainExceptOnCreate")
POLICIES = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::KMS::Alias", "AWS::SecretsManager::ResourcePolicy")


def kept(resource):
    return resource.get("DeletionPolicy") in KEEPS


def test_data_outlives_the_stack(family):
    problems = [
        f"{stack.name}: {name} is lost with the stack, or when it is replaced"
        for stack in family
        for name, resource in stack.of_type(*DATA).items()
        if not (kept(resource) and resource.get("UpdateReplacePolicy") == "Retain")
    ]
    assert not problems, "\n".join(problems)


def test_what_is_kept_on_deletion_is_kept_on_replacement_too(family):
    problems = [
        f"{stack.name}: {name}"
        for stack in family
        for name, resource in stack.resources.items()
        if kept(resource) != (resource.get("UpdateReplacePolicy") == "Retain")
    ]
    assert not problems, "\n".join(problems)


def test_policies_of_what_is_kept_are_kept(family):
    problems = [
        f"{stack.name}: {name} goes with the stack, {target} stays without it"
        for stack in family
        for name, resource in stack.of_type(*POLICIES).items()
        for target, other in stack.resources.items()
        if kept(other) and target != name and f'"Ref": "{target}"' in json.dumps(resource["Properties"]) and not kept(resource)
    ]
    assert not problems, "\n".join(problems)


def test_no_bucket_is_reached_without_tls(usual):
    buckets = set(usual.of_type("AWS::S3::Bucket"))
    for policy in usual.of_type("AWS::S3::BucketPolicy").values():
        (bucket,) = [name for name in buckets if policy["Properties"]["Bucket"] == {"Ref": name}]
        resources = [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}]
        refused = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": resources, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
        assert [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each | refused == each]
        buckets.remove(bucket)
    assert not buckets


def test_no_table_is_deleted_by_accident(root, usual):
    for name, table in usual.of_type("AWS::DynamoDB::Table").items():
        assert table["Properties"].get("DeletionProtectionEnabled") in (True, "true"), f"{name} has no deletion protection by default"
