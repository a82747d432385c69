//! Which call a piece belongs to.

use std::collections::HashMap;

use super::CallPiece;

/// The latest call for each way in which a piece may name it: by index and id, by one of them, or by neither.
#[derive(Default)]
pub struct KnownCalls(HashMap<(Option<u64>, Option<String>), usize>);

impl KnownCalls {
    /// The item of the call that a piece belongs to. A call begins with its name: a piece without one continues the call with its
    /// index, whatever its id. Some servers make a new id for each piece.
    #[must_use]
    pub fn find(&self, piece: &CallPiece) -> Option<usize> {
        let continues = || match (piece.index, piece.name()) {
            (Some(index), None) => self.0.get(&(Some(index), None)),
            _ => None,
        };
        self.0.get(&(piece.index, piece.provider_id())).or_else(continues).copied()
    }

    /// Remembers the call that begins with this piece.
    pub fn add(&mut self, piece: &CallPiece, item: usize) {
        let id = piece.provider_id();
        for name in [(piece.index, id.clone()), (piece.index, None), (None, id), (None, None)] {
            self.0.insert(name, item);
        }
    }
}
