//! The audit log: one partition, its entries in the order of their ids, so of time.
//!
//! An entry is written in the transaction that makes its change, or before the change.

use super::change::Write;
use super::error::StoreError;
use super::item::{Item, Reader, insert_present, number, text};
use super::keys;
use super::table::Table;
use crate::model::audit::{AUDIT_ID, Actor, AuditAction, AuditCursor, AuditEntry, AuditFilter};
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::page::Page;

/// An entry is kept this long.
const KEPT_SECONDS: u64 = 400 * 86_400;

/// The audit log.
#[derive(Clone, Debug)]
pub struct AuditRecords(pub(super) Table);

impl AuditRecords {
    /// Writes an entry whose change follows.
    pub async fn put(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.0.put(to_item(entry)).await
    }

    /// Returns a page of the entries that a filter wants, newest first. It has `more` if the query goes on in its direction.
    ///
    /// Rare entries are expensive: the query also reads the others between them.
    pub async fn list(
        &self,
        filter: &AuditFilter,
        cursor: &AuditCursor,
        now: Timestamp,
    ) -> Result<Page<AuditEntry>, StoreError> {
        let AuditCursor { after, before, limit } = cursor;
        let from = first_id(filter).into_iter().chain(before.clone()).max().unwrap_or_else(|| AUDIT_ID.to_owned());
        let to = last_id(filter).into_iter().chain(after.clone()).min().unwrap_or_else(|| format!("{AUDIT_ID}~"));
        let is_backwards = after.is_some() || before.is_none();
        let pages = self.0.query_between(keys::AUDIT, &from, &to).scan_index_forward(!is_backwards).into_paginator();
        let (mut items, mut found) = (pages.items().send(), Vec::new());
        while found.len() <= *limit
            && let Some(item) = Box::pin(items.next()).await
        {
            let item = item.map_err(StoreError::table("query the audit log"))?;
            let entry = read_entry(&item)?;
            let is_cursor = [after, before].into_iter().any(|id| id.as_deref() == Some(&*entry.id));
            let is_expired = Reader(&item).number::<u64>("expires_at")? <= now.seconds();
            if !is_cursor && !is_expired && filter.wants(&entry) {
                found.push(entry);
            }
        }
        let mut page = Page::cut(found, *limit);
        page.items.sort_by(|one, other| other.id.cmp(&one.id));
        Ok(page)
    }
}

/// The bounds of the ids that a filter wants, by their times.
fn first_id(filter: &AuditFilter) -> Option<String> {
    filter.first_second.map(|first| id::ordered_prefix(AUDIT_ID, Timestamp(first.saturating_mul(1_000))))
}

fn last_id(filter: &AuditFilter) -> Option<String> {
    let end = |last: u64| Timestamp(last.saturating_mul(1_000).saturating_add(999));
    filter.last_second.map(|last| format!("{}~", id::ordered_prefix(AUDIT_ID, end(last))))
}

/// Returns the write of an entry, for the transaction that makes its change.
pub(super) fn entry_write(entry: &AuditEntry) -> Write {
    Write::Create(to_item(entry))
}

fn to_item(entry: &AuditEntry) -> Item {
    let AuditEntry { id, at, action, actor, project, subject, before, after } = entry;
    let mut item = keys::audit_entry(id).with([
        ("at_ms", number(at.0)),
        ("action_name", text(action.name())),
        ("actor_key", text(&actor.key_id)),
        ("request_id", text(&actor.request_id)),
        ("subject", text(subject)),
        ("before_json", text(before.to_string())),
        ("after_json", text(after.to_string())),
        ("expires_at", number(at.seconds() + KEPT_SECONDS)),
    ]);
    let (project_id, project_name) = project.as_ref().map(|(id, name)| (text(id), text(name))).unzip();
    insert_present(
        &mut item,
        [("address", actor.address.as_ref().map(text)), ("project_id", project_id), ("project_name", project_name)],
    );
    item
}

fn read_entry(item: &Item) -> Result<AuditEntry, StoreError> {
    let reader = Reader(item);
    let json = |name| serde_json::from_str(&reader.text(name)?).map_err(|_| reader.damaged(name));
    Ok(AuditEntry {
        id: reader.text("sk")?,
        at: Timestamp(reader.number("at_ms")?),
        action: AuditAction::parse(&reader.text("action_name")?).ok_or_else(|| reader.damaged("action_name"))?,
        actor: Actor {
            key_id: reader.text("actor_key")?,
            address: reader.maybe_text("address"),
            request_id: reader.text("request_id")?,
        },
        project: reader.maybe_text("project_id").zip(reader.maybe_text("project_name")),
        subject: reader.text("subject")?,
        before: json("before_json")?,
        after: json("after_json")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_entry_reads_back() {
        let full = AuditEntry {
            id: "audit_log-1".into(),
            at: Timestamp(7_001),
            action: AuditAction::ProjectUpdated,
            actor: Actor { key_id: "admin".into(), address: Some("203.0.113.7".into()), request_id: "req_1".into() },
            project: Some(("proj_1".into(), "Team".into())),
            subject: "proj_1".into(),
            before: json!({"name": "Team"}),
            after: Value::Null,
        };
        let bare = AuditEntry { project: None, actor: Actor { address: None, ..full.actor.clone() }, ..full.clone() };
        for entry in [full, bare] {
            assert_eq!(read_entry(&to_item(&entry)).unwrap(), entry);
        }
    }
}
