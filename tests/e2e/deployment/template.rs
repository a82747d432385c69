//! Reading `template.yaml` and the stacks in `infra/`, with their short tags written out.

use std::collections::BTreeMap;
use std::path::Path;

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

/// A template, as JSON: `!Ref Table` is `{"Ref": "Table"}`, `!GetAtt Table.Arn` is `{"Fn::GetAtt": "Table.Arn"}`.
pub(super) struct Template(Value);

/// A resource of a template.
#[derive(Clone, Copy)]
pub(super) struct Resource<'a> {
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    pub(super) properties: &'a Value,
}

impl Template {
    pub(super) fn read() -> Self {
        Self::parse(&std::fs::read_to_string(root().join("template.yaml")).unwrap())
    }

    pub(super) fn parse(text: &str) -> Self {
        let documents = YamlOwned::load_from_str(text).unwrap();
        let [document] = &documents[..] else { panic!("{} documents", documents.len()) };
        Self(json_of(document))
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.0["Resources"].as_object().unwrap().iter().map(|(name, resource)| Resource {
            name,
            kind: resource["Type"].as_str().unwrap(),
            properties: &resource["Properties"],
        })
    }

    pub(super) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = Resource<'a>> {
        self.resources().filter(move |resource| resource.kind == kind)
    }

    pub(super) fn resource(&self, name: &str) -> Resource<'_> {
        let found = self.resources().find(|resource| resource.name == name);
        found.unwrap_or_else(|| panic!("template.yaml has no resource {name}"))
    }

    /// The functions by the name of their program, which is that of their crate.
    pub(super) fn functions(&self) -> BTreeMap<String, Resource<'_>> {
        let functions = self.of_kind("AWS::Serverless::Function");
        functions.map(|function| (program(function.name), function)).collect()
    }

    /// The statements of a function's role, where every condition holds.
    pub(super) fn statements(&self, function: Resource<'_>) -> Vec<&Value> {
        let policies = self.role(function).properties["Policies"].as_array().into_iter().flatten();
        policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])).map(chosen).collect()
    }

    pub(super) fn role(&self, function: Resource<'_>) -> Resource<'_> {
        let role =
            function.properties["Role"]["Fn::GetAtt"].as_str().and_then(|attribute| attribute.strip_suffix(".Arn"));
        self.resource(role.unwrap_or_else(|| panic!("{} has no role of the template", function.name)))
    }

    /// A parameter by its name.
    pub(super) fn parameter(&self, name: &str) -> &Value {
        &self.0["Parameters"][name]
    }

    /// The variables of a function: its own, and those that all have.
    pub(super) fn variables(&self, function: Resource<'_>) -> BTreeMap<String, Value> {
        let of = |properties: &Value| properties["Environment"]["Variables"].as_object().cloned().unwrap_or_default();
        of(&self.0["Globals"]["Function"]).into_iter().chain(of(function.properties)).collect()
    }
}

/// `ChatFunction` runs the program `chat`.
fn program(resource: &str) -> String {
    let name = resource.strip_suffix("Function").unwrap_or_else(|| panic!("{resource} is not named ...Function"));
    let mut program = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !program.is_empty() {
            program.push('-');
        }
        program.push(letter.to_ascii_lowercase());
    }
    program
}

pub(super) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn json_of(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Value(scalar) => scalar_of(scalar),
        YamlOwned::Sequence(values) => values.iter().map(json_of).collect(),
        YamlOwned::Mapping(members) => {
            let member = |(name, value)| (json_of(name).as_str().unwrap().to_owned(), json_of(value));
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        YamlOwned::Tagged(tag, value) => {
            let name = if tag.suffix == "Ref" { "Ref".to_owned() } else { format!("Fn::{}", tag.suffix) };
            json!({ name: json_of(value) })
        }
        YamlOwned::Representation(text, ..) => Value::from(text.as_str()),
        YamlOwned::Alias(_) | YamlOwned::BadValue => panic!("the template has {node:?}"),
    }
}

fn scalar_of(scalar: &ScalarOwned) -> Value {
    match scalar {
        ScalarOwned::Null => Value::Null,
        ScalarOwned::Boolean(value) => (*value).into(),
        ScalarOwned::Integer(value) => (*value).into(),
        ScalarOwned::FloatingPoint(value) => value.into_inner().into(),
        ScalarOwned::String(text) => text.as_str().into(),
    }
}

/// The value that a condition, if there is one, chooses when it holds.
pub(super) fn chosen(value: &Value) -> &Value {
    value["Fn::If"].as_array().map_or(value, |branches| &branches[1])
}

/// A value or a list of values, as policies have them.
pub(super) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

#[test]
fn anchors_are_written_out() {
    let text = "Resources:\n  A:\n    Type: T\n    Properties: {x: &one !If [C, !Ref B, 2], y: *one, z: &two {a: *one}, w: [*two]}\n";
    let template = Template::parse(text);
    let properties = template.resource("A").properties;
    assert_eq!(properties["y"], json!({"Fn::If": ["C", {"Ref": "B"}, 2]}));
    assert_eq!(properties["w"], json!([{"a": properties["y"]}]));
    assert_eq!(chosen(&properties["y"]), &json!({"Ref": "B"}));
}

#[test]
fn tags_are_written_out() {
    let text =
        "Resources:\n  A:\n    Type: T\n    Properties: {x: !Ref B, y: !Sub '${B}/*', z: !If [C, 1, !GetAtt D.Arn]}\n";
    let template = Template::parse(text);
    let expected =
        json!({"x": {"Ref": "B"}, "y": {"Fn::Sub": "${B}/*"}, "z": {"Fn::If": ["C", 1, {"Fn::GetAtt": "D.Arn"}]}});
    assert_eq!(template.resource("A").properties, &expected);
}
