//! What the elements of HTML mean for a text.

/// What an element does to the words around and inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Heading(usize),
    /// Stands on lines of its own.
    Block,
    List,
    Item,
    /// Its white space counts.
    Pre,
    /// Ends a line.
    Break,
    Table,
    Row,
    Cell {
        is_header: bool,
    },
    Image,
    /// Has no words for readers.
    Skipped,
    Inline,
}

pub(super) fn element(name: &[u8]) -> Element {
    match name {
        b"title" | b"h1" => Element::Heading(1),
        b"h2" => Element::Heading(2),
        b"h3" => Element::Heading(3),
        b"h4" => Element::Heading(4),
        b"h5" => Element::Heading(5),
        b"h6" => Element::Heading(6),
        b"ul" | b"ol" | b"menu" => Element::List,
        b"li" => Element::Item,
        b"pre" | b"listing" | b"xmp" | b"textarea" => Element::Pre,
        b"br" => Element::Break,
        b"table" => Element::Table,
        b"tr" => Element::Row,
        b"td" => Element::Cell { is_header: false },
        b"th" => Element::Cell { is_header: true },
        b"img" => Element::Image,
        b"script" | b"style" | b"template" | b"noscript" | b"svg" | b"iframe" | b"object" | b"noembed"
        | b"noframes" => Element::Skipped,
        b"address" | b"article" | b"aside" | b"blockquote" | b"body" | b"caption" | b"center" | b"dd" | b"details"
        | b"dialog" | b"dir" | b"div" | b"dl" | b"dt" | b"fieldset" | b"figcaption" | b"figure" | b"footer"
        | b"form" | b"head" | b"header" | b"hgroup" | b"hr" | b"html" | b"legend" | b"main" | b"nav" | b"option"
        | b"p" | b"search" | b"section" | b"select" | b"summary" | b"tbody" | b"tfoot" | b"thead" => Element::Block,
        _ => Element::Inline,
    }
}
