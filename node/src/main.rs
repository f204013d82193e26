//! Weft node.
/// Entry.
fn main() {}
