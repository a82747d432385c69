//! Lists of names of models, as callers write them.

use serde::{Deserialize, Serialize};

use super::invalid::Invalid;

/// The most names in a list.
const MAX_NAMES: usize = 200;
const MAX_LENGTH: usize = 200;

/// A list of names, checked: each has 1 to 200 characters. A `*` at the end of one stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelNames(Vec<String>);

impl ModelNames {
    /// Checks a list. `param` names the field in the error.
    ///
    /// # Errors
    /// `Invalid` if the list is too long, or a name has another form.
    pub fn parse(param: &str, names: Vec<String>) -> Result<Self, Invalid> {
        if names.len() > MAX_NAMES {
            let message = format!("`{param}` has {} names, expected at most {MAX_NAMES}.", names.len());
            return Err(Invalid::field(param, message));
        }
        let is_right = |name: &String| {
            let text = name.strip_suffix('*').unwrap_or(name);
            (1..=MAX_LENGTH).contains(&name.chars().count()) && !text.contains('*')
        };
        match names.iter().find(|name| !is_right(name)) {
            Some(wrong) => Err(Invalid::field(
                param,
                format!(
                    "`{param}` has `{wrong}`, expected names of 1 to {MAX_LENGTH} characters; `*` only at their end."
                ),
            )),
            None => Ok(Self(names)),
        }
    }

    /// Whether the list has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| match known.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => known == name,
        })
    }

    /// The names between commas.
    #[must_use]
    pub fn shown(&self) -> String {
        self.0.join(", ")
    }
}

/// OpenAI's permissions of a project: the models that its keys may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPermissions {
    pub mode: PermissionMode,
    pub model_ids: ModelNames,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermissionMode {
    AllowList,
    DenyList,
}

impl ModelPermissions {
    #[must_use]
    pub fn allow(&self, model: &str) -> bool {
        self.model_ids.has(model) == (self.mode == PermissionMode::AllowList)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Result<ModelNames, Invalid> {
        ModelNames::parse("models", names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_star_at_the_end_stands_for_any_text() {
        let list = names(&["gpt-5", "claude-*"]).unwrap();
        for (name, expected) in
            [("gpt-5", true), ("gpt-5-mini", false), ("claude-", true), ("claude-opus", true), ("", false)]
        {
            assert_eq!(list.has(name), expected, "{name}");
        }
        assert!(names(&["*"]).unwrap().has("anything") && !names(&[]).unwrap().has("anything"));
    }

    #[test]
    fn refuses_names_of_another_form() {
        for wrong in ["", "a*b", "**", &"a".repeat(201)] {
            assert_eq!(names(&[wrong]).unwrap_err().param.as_deref(), Some("models"), "{wrong}");
        }
        assert!(names(&["a"; 201]).is_err());
    }

    #[test]
    fn a_project_allows_what_is_on_its_list_or_what_is_not() {
        let model_ids = names(&["a"]).unwrap();
        let allows = |mode, model: &str| ModelPermissions { mode, model_ids: model_ids.clone() }.allow(model);
        let (allow, deny) = (PermissionMode::AllowList, PermissionMode::DenyList);
        assert_eq!(
            [allows(allow, "a"), allows(allow, "b"), allows(deny, "a"), allows(deny, "b")],
            [true, false, false, true]
        );
    }
}
