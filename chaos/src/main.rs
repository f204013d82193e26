//! weft-chaos.
fn main() {}
