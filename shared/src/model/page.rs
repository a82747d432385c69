//! Pages of lists.

/// The begin and the length of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last id of the previous page. The object with this id may be deleted in the meantime.
    pub after: Option<String>,
    pub limit: usize,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Returns the page of `all` that `cursor` selects, oldest first. Ids sort by creation time; see
    /// [`super::id::new_ordered`].
    #[must_use]
    pub fn oldest_first(mut all: Vec<T>, cursor: &Cursor, id: fn(&T) -> &str) -> Self {
        all.retain(|item| cursor.after.as_deref().is_none_or(|after| id(item) > after));
        all.sort_by(|a, b| id(a).cmp(id(b)));
        Self::cut(all, cursor.limit)
    }

    /// Returns the page of `all` that `cursor` selects, newest first.
    #[must_use]
    pub fn newest_first(mut all: Vec<T>, cursor: &Cursor, id: fn(&T) -> &str) -> Self {
        all.retain(|item| cursor.after.as_deref().is_none_or(|after| id(item) < after));
        all.sort_by(|a, b| id(b).cmp(id(a)));
        Self::cut(all, cursor.limit)
    }

    /// Returns the first `limit` items of `found`. The caller reads at least one item more than the limit, if there is
    /// one, so that `has_more` is correct.
    #[must_use]
    pub fn cut(mut found: Vec<T>, limit: usize) -> Self {
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
        let page = Page::oldest_first(all, &Cursor { after: after.map(str::to_owned), limit }, String::as_str);
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
    fn a_page_can_begin_after_a_deleted_item() {
        check(Some("b"), 1, &["c"], true);
    }
}
