//! Pages of items: of a response's input, or of a conversation.

use super::fields::quote_all;
use super::item::Item;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    #[default]
    Descending,
}

impl Order {
    /// Reads the query parameter `order`.
    ///
    /// # Errors
    /// If the text is neither `asc` nor `desc`.
    pub fn parse(text: Option<&str>) -> Result<Self, Invalid> {
        match text {
            None | Some("desc") => Ok(Self::Descending),
            Some("asc") => Ok(Self::Ascending),
            Some(other) => {
                let known = quote_all(&["asc", "desc"]);
                Err(Invalid::field("order", format!("`order` is `{other}`, expected one of {known}.")))
            }
        }
    }
}

/// A request for a page of items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    pub order: Order,
    /// The id of the item before the page.
    pub after: Option<String>,
    /// Items on the page, 1 to 100.
    pub limit: usize,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { order: Order::default(), after: None, limit: 20 }
    }
}

impl ListQuery {
    /// Reads the query parameters `order`, `after` and `limit`.
    ///
    /// # Errors
    /// If the order is unknown, or the limit is not between 1 and 100.
    pub fn parse(order: Option<&str>, after: Option<&str>, limit: Option<u64>) -> Result<Self, Invalid> {
        let limit = limit.unwrap_or(20);
        if !(1..=100).contains(&limit) {
            return Err(Invalid::field("limit", format!("`limit` is {limit}, expected 1 to 100.")));
        }
        let limit = usize::try_from(limit).unwrap_or(100);
        Ok(Self { order: Order::parse(order)?, after: after.map(str::to_owned), limit })
    }
}

impl ListQuery {
    /// The error for an `after` that is no item of the list.
    #[must_use]
    pub fn unknown_after(&self) -> Invalid {
        let after = self.after.as_deref().unwrap_or_default();
        Invalid::field("after", format!("`after` is `{after}`, which is no item of this list."))
    }

    /// The page of `all`, and whether more items follow. `all` is sorted oldest first.
    ///
    /// # Errors
    /// If no item has the id `after`.
    pub fn page<T>(&self, mut all: Vec<T>, id: impl Fn(&T) -> String) -> Result<(Vec<T>, bool), Invalid> {
        if self.order == Order::Descending {
            all.reverse();
        }
        let start = match &self.after {
            None => 0,
            Some(after) => {
                let found = all.iter().position(|item| id(item) == *after);
                found.ok_or_else(|| self.unknown_after())? + 1
            }
        };
        let mut rest = all.into_iter().skip(start);
        let page: Vec<T> = rest.by_ref().take(self.limit).collect();
        let has_more = rest.next().is_some();
        Ok((page, has_more))
    }
}

/// A page in OpenAI's shape. `first_id` and `last_id` are empty on an empty page: in lists of items their type is string.
#[must_use]
pub fn list(page: &[Item], has_more: bool) -> Object {
    let end = |item: Option<&Item>| item.map(Item::id).unwrap_or_default();
    Object::default()
        .with("object", "list")
        .with("data", page)
        .with("first_id", &end(page.first()))
        .with("last_id", &end(page.last()))
        .with("has_more", &has_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids on a page of five items, with `+` if more follow, or the invalid parameter.
    fn page(order: Option<&str>, after: Option<&str>, limit: Option<u64>) -> String {
        let items: Vec<Item> = (1..=5).map(|id| Item(Object::default().with("id", &format!("m{id}")))).collect();
        let list = match ListQuery::parse(order, after, limit).and_then(|query| query.page(items, Item::id)) {
            Ok((page, has_more)) => list(&page, has_more),
            Err(error) => return error.param.unwrap_or_default(),
        };
        let data: Vec<Object> = list.get("data").unwrap();
        let ids: Vec<String> = data.iter().map(|item| item.get("id").unwrap()).collect();
        let end = |id: Option<&String>| id.cloned().unwrap_or_default();
        assert_eq!((end(ids.first()), end(ids.last())), (list.get("first_id").unwrap(), list.get("last_id").unwrap()));
        let more = if list.get("has_more").unwrap() { "+" } else { "" };
        format!("{}{more}", ids.join(" "))
    }

    #[test]
    fn pages_go_on_after_an_item_in_either_order() {
        for (order, after, limit, expected) in [
            (None, None, None, "m5 m4 m3 m2 m1"),
            (None, None, Some(2), "m5 m4+"),
            (Some("desc"), Some("m4"), Some(2), "m3 m2+"),
            (Some("desc"), Some("m2"), Some(2), "m1"),
            (Some("asc"), None, Some(5), "m1 m2 m3 m4 m5"),
            (Some("asc"), Some("m3"), Some(1), "m4+"),
            (Some("asc"), Some("m5"), None, ""),
            (Some("up"), None, None, "order"),
            (None, Some("m6"), None, "after"),
            (None, None, Some(0), "limit"),
            (None, None, Some(101), "limit"),
        ] {
            assert_eq!(page(order, after, limit), expected, "{order:?} {after:?} {limit:?}");
        }
    }

    #[test]
    fn the_ends_of_an_empty_list_are_empty() {
        let list = list(&[], false);
        let expected = r#"{"object":"list","data":[],"first_id":"","last_id":"","has_more":false}"#;
        assert_eq!(list.to_bytes(), expected);
    }
}
