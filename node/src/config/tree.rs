//! YAML text as a tree whose every node knows its line and column.
//!
//! Knows anchors, aliases and `<<` merges; finds duplicate keys. Knows no key of Weft: that is `check`.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::error::{Origin, Problem, SourceFile, Spot};

/// A piece of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it was written.
    pub(crate) origin: Origin,
    /// What it is.
    pub(crate) body: Body,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// A single value.
    Scalar(String, Style),
    /// `[a, b]` or lines with dashes.
    List(Vec<Arc<Node>>),
    /// Keys and values, in the order of the file.
    Map(Vec<Entry>),
}

/// How a scalar was written, which decides what it may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Bare: may be a number, a boolean or nothing.
    Plain,
    /// In quotes or as a block: text and only text.
    Quoted,
    /// From the environment or the command line, where nobody quotes: whatever the key wants.
    Raw,
    /// A number or a boolean of JSON: never a text.
    Bare,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key was written.
    pub(crate) origin: Origin,
    /// The value.
    pub(crate) value: Arc<Node>,
}

impl Node {
    /// A scalar from outside a file.
    pub(crate) fn raw(origin: &Origin, text: &str) -> Self {
        Self { origin: origin.clone(), body: Body::Scalar(text.to_owned(), Style::Raw) }
    }

    /// Whether nothing was written, or `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.body, Body::Scalar(text, Style::Plain) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.body {
            Body::Scalar(text, _) => self.is_null() || text.is_empty(),
            Body::List(items) => items.is_empty(),
            Body::Map(entries) => entries.is_empty(),
        }
    }
}

/// Reads one document. An empty one is `None`. Problems are collected; the tree holds what could be read.
pub(crate) fn parse(file: &Arc<SourceFile>, problems: &mut Vec<Problem>) -> Option<Arc<Node>> {
    let mut builder =
        Builder { file, problems, stack: Vec::new(), anchors: HashMap::new(), repeated: 0, root: None, documents: 0 };
    for next in Parser::new_from_str(&file.text) {
        match next {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                let mark = error.marker();
                let spot = Spot { line: mark.line(), column: mark.col() + 1, width: 1 };
                let message = format!("not valid YAML: {}", error.info());
                builder.problems.push(Problem::new(&Origin::File(file.clone(), spot), message));
                break;
            }
        }
    }
    builder.root.filter(|root| !root.is_null())
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    problems: &'a mut Vec<Problem>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Arc<Node>, Size)>,
    /// What aliases have brought so far.
    repeated: usize,
    root: Option<Arc<Node>>,
    documents: usize,
}

/// How large a node is with all that its aliases stand for.
#[derive(Clone, Copy, Default)]
struct Size {
    depth: usize,
    bytes: usize,
}

/// Aliases may bring no deeper nesting than this, and no more than so many bytes: a few lines can stand for a tree without end.
const DEPTH_MAX: usize = 64;
const REPEATED_BYTES_MAX: usize = 16 << 20;

/// A list or map whose end has not come yet.
struct Frame {
    origin: Origin,
    anchor: usize,
    /// Of what is in it so far.
    size: Size,
    open: Open,
}

enum Open {
    List(Vec<Arc<Node>>),
    Map { entries: Vec<Entry>, seen: HashMap<String, usize>, merges: Vec<Arc<Node>>, key: Option<Key> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    origin: Origin,
    merge: bool,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        let origin = self.origin(span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.problem(&origin, "a second document begins here; a configuration is one document");
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let style = if plain { Style::Plain } else { Style::Quoted };
                let size = Size { depth: 1, bytes: size_of::<Node>() + text.len() };
                self.finish(Node { origin, body: Body::Scalar(text.into_owned(), style) }, anchor, size);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.stack.push(Frame { origin, anchor, size: Size::default(), open: Open::List(Vec::new()) });
            }
            Event::MappingStart(_, anchor, _) => {
                let open = Open::Map { entries: Vec::new(), seen: HashMap::new(), merges: Vec::new(), key: None };
                self.stack.push(Frame { origin, anchor, size: Size::default(), open });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some((node, size)) if self.may_repeat(size) => self.place(node, &origin, size),
                Some(_) => self.place_nothing(&origin, "aliases stand for more than a configuration may have"),
                None => self.place_nothing(&origin, "this alias is inside the value it stands for"),
            },
            _ => {}
        }
    }

    /// Whether an alias may bring so much once more.
    fn may_repeat(&mut self, size: Size) -> bool {
        self.repeated = self.repeated.saturating_add(size.bytes);
        self.stack.len() + size.depth <= DEPTH_MAX && self.repeated <= REPEATED_BYTES_MAX
    }

    fn place_nothing(&mut self, origin: &Origin, why: &str) {
        self.problem(origin, why);
        let nothing = Node { origin: origin.clone(), body: Body::List(Vec::new()) };
        self.place(Arc::new(nothing), origin, Size::default());
    }

    fn close(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let body = match frame.open {
            Open::List(items) => Body::List(items),
            Open::Map { mut entries, mut seen, merges, .. } => {
                for merge in merges {
                    self.merge(&merge, &mut entries, &mut seen);
                }
                Body::Map(entries)
            }
        };
        let size = Size { depth: frame.size.depth + 1, bytes: frame.size.bytes + size_of::<Node>() };
        self.finish(Node { origin: frame.origin, body }, frame.anchor, size);
    }

    /// Adds what `<<` brings; keys that are there already win.
    fn merge(&mut self, from: &Node, entries: &mut Vec<Entry>, seen: &mut HashMap<String, usize>) {
        match &from.body {
            Body::Map(brought) => {
                for entry in brought {
                    if seen.insert(entry.key.clone(), 0).is_none() {
                        entries.push(entry.clone());
                    }
                }
            }
            Body::List(maps) if maps.iter().all(|map| matches!(map.body, Body::Map(_))) => {
                for map in maps {
                    self.merge(map, entries, seen);
                }
            }
            _ => self.problem(&from.origin, "`<<` needs a map, or a list of maps"),
        }
    }

    fn finish(&mut self, node: Node, anchor: usize, size: Size) {
        let origin = node.origin.clone();
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.place(node, &origin, size);
    }

    /// Puts a finished node where it belongs. `at` is where it stands, which differs from its own origin for an alias.
    fn place(&mut self, node: Arc<Node>, at: &Origin, size: Size) {
        let Some(frame) = self.stack.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        frame.size.depth = frame.size.depth.max(size.depth);
        frame.size.bytes = frame.size.bytes.saturating_add(size.bytes);
        match &mut frame.open {
            Open::List(items) => items.push(node),
            Open::Map { key: key @ None, .. } => {
                let (text, merge) = match &node.body {
                    Body::Scalar(text, style) => (text.clone(), *style == Style::Plain && text == "<<"),
                    _ => (String::new(), false),
                };
                let is_scalar = matches!(node.body, Body::Scalar(..));
                *key = Some(Key { text, origin: at.clone(), merge });
                if !is_scalar {
                    self.problem(at, "a key must be a plain text");
                }
            }
            Open::Map { entries, seen, merges, key } => {
                let Some(key) = key.take() else { return };
                if key.merge {
                    merges.push(node);
                } else if let Some(line) = seen.get(&key.text) {
                    let message = format!("duplicate key `{}`; it is set on line {line} already", key.text);
                    self.problem(&key.origin, message);
                } else {
                    let line = if let Origin::File(_, spot) = &key.origin { spot.line } else { 0 };
                    seen.insert(key.text.clone(), line);
                    entries.push(Entry { key: key.text, origin: key.origin, value: node });
                }
            }
        }
    }

    fn origin(&self, span: Span) -> Origin {
        let width = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            usize::MAX
        };
        Origin::File(self.file.clone(), Spot { line: span.start.line(), column: span.start.col() + 1, width })
    }

    fn problem(&mut self, origin: &Origin, message: impl Into<String>) {
        self.problems.push(Problem::new(origin, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(node: &Node) -> String {
        match &node.body {
            Body::Scalar(text, Style::Plain) => text.clone(),
            Body::Scalar(text, _) => format!("{text:?}"),
            Body::List(items) => format!("[{}]", items.iter().map(|n| show(n)).collect::<Vec<_>>().join(" ")),
            Body::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|e| format!("{}:{}", e.key, show(&e.value))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn read(text: &str) -> (String, Vec<String>) {
        let file = Arc::new(SourceFile { name: "f".into(), text: text.to_owned() });
        let mut problems = Vec::new();
        let tree = parse(&file, &mut problems);
        (tree.map_or_else(String::new, |node| show(&node)), problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn anchors_and_merges() {
        let text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 'z'\nc: {<<: [*a, {x: 9, w: 3}]}\nd: *a\n";
        let tree = "{a:{x:1 y:2} b:{y:\"z\" x:1} c:{x:1 y:2 w:3} d:{x:1 y:2}}";
        assert_eq!(read(text), (tree.to_owned(), vec![]));
    }

    #[test]
    fn duplicates_are_found_with_their_place() {
        let problems = vec!["f:3:1: duplicate key `a`; it is set on line 1 already".to_owned()];
        assert_eq!(read("a: 1\nb: 2\na: 3\n"), ("{a:1 b:2}".to_owned(), problems));
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        assert_eq!(read(""), (String::new(), vec![]));
        assert_eq!(read("# nothing\n"), (String::new(), vec![]));
        assert_eq!(read("a: 1\n---\nb: 2\n").1.len(), 1);
        assert!(read("a: [1\nb: 2\n").1[0].starts_with("f:"), "{:?}", read("a: [1\n"));
        assert_eq!(read("a: &a [*a]\n").1, ["f:1:8: this alias is inside the value it stands for"]);
        assert_eq!(read("? [a]\n: b\n").1, ["f:1:3: a key must be a plain text"]);
        assert_eq!(read("a: {<<: 3}\n").1, ["f:1:9: `<<` needs a map, or a list of maps"]);
    }
}
