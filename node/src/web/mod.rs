//! HTTP as doors serve it to browsers and players: on the workers, within bounds, each door with its own answers.

mod body;
mod listener;
mod patient;

pub use body::Body;
pub use listener::{Site, accept};
