//! What the node tells about itself.

mod lines;
pub mod logs;
mod writer;
