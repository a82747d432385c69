//! Pages of lists, oldest first.

/// Where a page begins and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The id that the page before ended with. It need not exist any more: clients delete what they list.
    pub after: Option<String>,
    pub limit: usize,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub has_more: bool,
}

impl<T> Page<T> {
    /// The page of `all` that `cursor` names. Ids sort as they were made; see `model::id::ordered`.
    pub(super) fn of(mut all: Vec<T>, cursor: &Cursor, id: fn(&T) -> &str) -> Self {
        all.retain(|item| cursor.after.as_deref().is_none_or(|after| id(item) > after));
        all.sort_by(|a, b| id(a).cmp(id(b)));
        let has_more = all.len() > cursor.limit;
        all.truncate(cursor.limit);
        Self { items: all, has_more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(after: Option<&str>, limit: usize, items: &[&str], has_more: bool) {
        let all = ["c", "a", "e"].map(str::to_owned).to_vec();
        let page = Page::of(all, &Cursor { after: after.map(str::to_owned), limit }, String::as_str);
        assert_eq!(page, Page { items: items.iter().map(|&id| id.to_owned()).collect(), has_more });
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        check(None, 2, &["a", "c"], true);
        check(Some("c"), 2, &["e"], false);
        check(Some("e"), 2, &[], false);
        check(None, 3, &["a", "c", "e"], false);
    }

    #[test]
    fn a_page_goes_on_after_what_was_deleted() {
        check(Some("b"), 1, &["c"], true);
    }
}
