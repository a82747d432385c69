//! Pages of lists.

/// Where a page begins and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The id that the page before ended with. It need not exist any more: clients delete what they list.
    pub after: Option<String>,
    pub limit: usize,
}

/// No id that weir makes is longer; what is cannot exist, and might not even be a key that the table takes.
pub(super) const LONGEST_ID: usize = 64;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub has_more: bool,
}

impl<T> Page<T> {
    /// The page of `all` that `cursor` names, oldest first. Ids sort as they were made; see `model::id::new_ordered`.
    pub(super) fn of(mut all: Vec<T>, cursor: &Cursor, id: fn(&T) -> &str) -> Self {
        all.retain(|item| cursor.after.as_deref().is_none_or(|after| id(item) > after));
        all.sort_by(|a, b| id(a).cmp(id(b)));
        Self::cut(all, cursor.limit)
    }

    /// The same, newest first.
    pub(super) fn newest_first(mut all: Vec<T>, cursor: &Cursor, id: fn(&T) -> &str) -> Self {
        all.retain(|item| cursor.after.as_deref().is_none_or(|after| id(item) < after));
        all.sort_by(|a, b| id(b).cmp(id(a)));
        Self::cut(all, cursor.limit)
    }

    /// The page that `found` begins with; whoever read it read one more than the page holds.
    pub(super) fn cut(mut found: Vec<T>, limit: usize) -> Self {
        let has_more = found.len() > limit;
        found.truncate(limit);
        Self { items: found, has_more }
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
    fn the_newest_can_come_first() {
        let page = |after: Option<&str>| {
            let all = ["c", "a", "e"].map(str::to_owned).to_vec();
            Page::newest_first(all, &Cursor { after: after.map(str::to_owned), limit: 2 }, String::as_str)
        };
        assert_eq!(page(None), Page { items: vec!["e".to_owned(), "c".to_owned()], has_more: true });
        assert_eq!(page(Some("b")), Page { items: vec!["a".to_owned()], has_more: false });
    }

    #[test]
    fn a_page_goes_on_after_what_was_deleted() {
        check(Some("b"), 1, &["c"], true);
    }
}
