//! Walks over the parts of messages.

use crate::model::object::Object;

/// Reads a part at a path. `Some`: what takes its place.
pub(super) type Visitor<'a, E> = dyn FnMut(&Object, &str) -> Result<Option<Object>, E> + 'a;

/// Visits the parts in the contents of all messages of a body. Returns the body with the parts that were replaced; `None` if none was.
pub(super) fn visit<E>(body: &Object, visitor: &mut Visitor<'_, E>) -> Result<Option<Object>, E> {
    let Some(messages) = body.get::<Vec<Object>>("messages") else { return Ok(None) };
    let messages = list(messages, "messages", &mut |message, at| content(message, at, visitor))?;
    Ok(messages.map(|messages| body.clone().with("messages", &messages)))
}

/// Visits the parts in the `content` of a message or a block, if it is a list.
pub(super) fn content<E>(owner: &Object, at: &str, visitor: &mut Visitor<'_, E>) -> Result<Option<Object>, E> {
    let Some(parts) = owner.get::<Vec<Object>>("content") else { return Ok(None) };
    let parts = list(parts, &format!("{at}.content"), visitor)?;
    Ok(parts.map(|parts| owner.clone().with("content", &parts)))
}

fn list<E>(mut elements: Vec<Object>, at: &str, visitor: &mut Visitor<'_, E>) -> Result<Option<Vec<Object>>, E> {
    let mut is_changed = false;
    for (index, element) in elements.iter_mut().enumerate() {
        if let Some(replaced) = visitor(element, &format!("{at}[{index}]"))? {
            *element = replaced;
            is_changed = true;
        }
    }
    Ok(is_changed.then_some(elements))
}
